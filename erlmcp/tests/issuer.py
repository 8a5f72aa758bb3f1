"""An authorization server for tests: real keys, real signatures, a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

RESOURCE = "https://mcp.example.com/mcp"
_FORMS = {"RS": RSAAlgorithm, "PS": RSAAlgorithm, "ES": ECAlgorithm, "Ed": OKPAlgorithm}


def generate(algorithm: str, bits: int = 2048) -> Any:
    """A private key for an algorithm."""
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}[algorithm]())


class SigningKey:
    """A private key with a name and an algorithm."""

    def __init__(self, kid: str, algorithm: str = "ES256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private = generate(algorithm, bits)

    @property
    def public(self) -> dict[str, Any]:
        """As it is published."""
        form = _FORMS[self.algorithm[:2]]
        data = form.to_jwk(self.private.public_key(), as_dict=True)
        return {**data, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


class Issuer:
    """Publishes keys and metadata, signs tokens, and can be made to fail.

    Attributes:
        published: the keys at /jwks, as they are written.
        answers: what is answered at a path instead: status, body, and fields.
        asked: how often each path was asked.
        forms: what was posted, with the fields of the request.
    """

    def __init__(self, path: str = "") -> None:
        self.keys: dict[str, SigningKey] = {}
        self.published: list[Any] = []
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.asked: Counter[str] = Counter()
        self.forms: list[tuple[dict[str, str], str]] = []
        self._hold = threading.Event()
        self._hold.set()
        self._path = path
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def name(self) -> str:
        return f"{self.origin}{self._path}"

    def add_key(self, kid: str, algorithm: str = "ES256", bits: int = 2048) -> SigningKey:
        key = self.keys[kid] = SigningKey(kid, algorithm, bits)
        self.published.append(key.public)
        return key

    def withdraw(self, kid: str) -> None:
        self.published = [each for each in self.published if each["kid"] != kid]

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a good token; a change to None takes one away."""
        now = time.time()
        usual = {
            "iss": self.name,
            "aud": RESOURCE,
            "sub": "alice",
            "client_id": "app",
            "exp": int(now + 600),
            "iat": int(now),
            "scope": "notes:read",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def token(self, kid: str = "k1", *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token signed with one of the keys."""
        key = self.keys[kid]
        fields = {"kid": kid, "typ": "at+jwt", **(headers or {})}
        fields = {name: value for name, value in fields.items() if value is not None}
        body = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(body, key.private, algorithm=key.algorithm, headers=fields)

    def hold(self) -> None:
        """Answer nobody until ``release``."""
        self._hold.clear()

    def release(self) -> None:
        self._hold.set()

    def close(self) -> None:
        self._hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def documents(self) -> dict[str, Any]:
        """What is at which path."""
        metadata = {
            "issuer": self.name,
            "jwks_uri": f"{self.origin}/jwks",
            "introspection_endpoint": f"{self.origin}/introspect",
        }
        return {
            f"/.well-known/oauth-authorization-server{self._path}": metadata,
            "/jwks": {"keys": self.published},
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                issuer.asked[self.path] += 1
                issuer._hold.wait(20)
                document = issuer.documents().get(self.path)
                status = 404 if document is None else 200
                self.answer(*issuer.answers.get(self.path, (status, json.dumps(document).encode(), {})))

            def do_POST(self) -> None:
                issuer.asked[self.path] += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                issuer.forms.append((dict(self.headers.items()), body))
                issuer._hold.wait(20)
                self.answer(*issuer.answers.get(self.path, (404, b"{}", {})))

            def answer(self, status: int, body: bytes, fields: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                with suppress(OSError):  # whoever asked is gone
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing of it is of interest."""

        return Handler
