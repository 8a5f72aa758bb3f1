"""An authorization server for development and tests: it gives everybody a token who asks for one.

It approves what it is asked at once and asks nobody who he is, so it must never be near production:
``erlmcp.cli.dev_issuer`` serves it to this machine only, and a server in production takes no issuer that is
one. The flow itself (metadata, registration, PKCE) is the SDK's; keys live as long as the process.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    IdentityAssertionParams,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN_S: Final = 300
"""How long a token is good, seconds."""

SUBJECT: Final = "developer"
"""On whose behalf every token is, unless the client is its own master."""

_CODE_S: Final = 60.0
_MAX_KEPT: Final = 1_000
_ALGORITHM: Final = "ES256"

_Given = TypeVar("_Given", AuthorizationCode, RefreshToken)
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]


class Kept(OrderedDict[str, Any]):
    """What is remembered by name; the oldest is forgotten when there is too much."""

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if len(self) > _MAX_KEPT:
            self.popitem(last=False)


class DevIssuer:
    """The provider behind the SDK's routes, and the keys that sign.

    Args:
        url: its identifier, as its tokens name it (iss).
        audience: for whom tokens are made whose client names no resource (RFC 8707).
        opaque: whether tokens are random words that must be asked about (RFC 7662), and no JWTs.
    """

    def __init__(self, url: str, *, audience: str, opaque: bool = False) -> None:
        self.url = url
        self._audience = audience
        self._opaque = opaque
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._kid = secrets.token_hex(8)
        self._clients, self._codes, self._refreshing, self._issued = Kept(), Kept(), Kept(), Kept()

    # -- tokens --

    def issue(self, client_id: str, subject: str, scopes: list[str], resource: str | None) -> OAuthToken:
        """A token for a client."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": resource or self._audience,
            "client_id": client_id,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + TOKEN_S,
            "jti": secrets.token_hex(8),
        }
        if self._opaque:
            token = secrets.token_urlsafe(32)
            self._issued[token] = claims
        else:
            token = jwt.encode(claims, self._key, _ALGORITHM, headers={"kid": self._kid, "typ": "at+jwt"})
        return OAuthToken(access_token=token, expires_in=TOKEN_S, scope=claims["scope"])

    def introspected(self, token: str) -> dict[str, Any]:
        """What is known of an opaque token."""
        claims = self._issued.get(token)
        if claims is None or claims["exp"] <= time.time():
            return {"active": False}
        return {"active": True, "token_type": "Bearer", **claims}

    def keys(self) -> dict[str, Any]:
        """The public key (RFC 7517)."""
        public: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self._kid, "alg": _ALGORITHM, "use": "sig"}]}

    def metadata(self) -> dict[str, Any]:
        """Where everything is (RFC 8414)."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register",
            "introspection_endpoint": f"{self.url}/introspect",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
        }

    # -- the SDK's provider --

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        """A client that has registered."""
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        """Anybody may (RFC 7591)."""
        self._clients[str(client_info.client_id)] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """Approve at once: where the browser goes next."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + _CODE_S,
            client_id=str(client.client_id),
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject=SUBJECT,
        )
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        """A code that was given to this client."""
        return _own(self._codes.get(authorization_code), client)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        """A code is good once."""
        if self._codes.pop(authorization_code.code, None) is None:
            raise TokenError("invalid_grant", "the code was used before")
        return self._with_refresh(client, authorization_code.scopes, authorization_code.resource)

    def _with_refresh(
        self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None
    ) -> OAuthToken:
        made = self.issue(str(client.client_id), SUBJECT, scopes, resource)
        refresh = RefreshToken(
            token=secrets.token_urlsafe(32),
            client_id=str(client.client_id),
            scopes=scopes,
            resource=resource,
            subject=SUBJECT,
        )
        self._refreshing[refresh.token] = refresh
        return made.model_copy(update={"refresh_token": refresh.token})

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        """A refresh token that was given to this client."""
        return _own(self._refreshing.get(refresh_token), client)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        """A new pair; the old refresh token is good no more."""
        if self._refreshing.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant", "the refresh token was used before")
        return self._with_refresh(client, scopes or refresh_token.scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        """Of the SDK's own resource servers, which ask here; ours do not."""
        del token
        return None

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        """Let go of a token."""
        self._refreshing.pop(token.token, None)
        self._issued.pop(token.token, None)

    async def exchange_identity_assertion(
        self, client: OAuthClientInformationFull, params: IdentityAssertionParams
    ) -> OAuthToken:
        """There is nobody whose assertion could be believed."""
        del client, params
        raise TokenError("unsupported_grant_type", "this issuer takes no assertions")


def _own(found: _Given | None, client: OAuthClientInformationFull) -> _Given | None:
    """What was given, if it was given to this client."""
    return found if found is not None and found.client_id == client.client_id else None


def app_of(issuer: DevIssuer) -> Starlette:
    """What it serves."""
    sdk = create_auth_routes(
        issuer,
        AnyHttpUrl(issuer.url),
        client_registration_options=ClientRegistrationOptions(enabled=True),
    )
    of_sdk = next(route for route in sdk if route.path == "/token")

    async def metadata(_: Request) -> Response:
        return JSONResponse(issuer.metadata(), headers={"access-control-allow-origin": "*"})

    async def keys(_: Request) -> Response:
        return JSONResponse(issuer.keys())

    async def introspect(request: Request) -> Response:
        return JSONResponse(issuer.introspected(_text(await request.form(), "token")))

    class Token:
        """The token endpoint: a client that is its own master is served here, all others by the SDK."""

        async def __call__(self, scope: Any, receive: _Receive, send: Any) -> None:
            request = Request(scope, receive)
            body = await request.body()
            form = await request.form()
            if _text(form, "grant_type") != "client_credentials":
                await of_sdk.app(scope, _again(body, receive), send)
                return
            name = _text(form, "client_id") or "anybody"
            made = issuer.issue(name, name, _text(form, "scope").split(), _text(form, "resource") or None)
            answer = JSONResponse(made.model_dump(exclude_none=True), headers={"cache-control": "no-store"})
            await answer(scope, receive, send)

    ours = [
        Route("/.well-known/oauth-authorization-server", metadata),
        Route("/jwks", keys),
        Route("/introspect", introspect, methods=["POST"]),
        Route("/token", Token(), methods=["POST"]),
    ]
    # A page whose name leads to this machine must not be given a token.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    return Starlette(routes=[*ours, *sdk], middleware=[hosts])


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _again(body: bytes, receive: _Receive) -> _Receive:
    """A body that was read, to be read once more."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def once_more() -> _Message:
        return pending.pop() if pending else await receive()

    return once_more
