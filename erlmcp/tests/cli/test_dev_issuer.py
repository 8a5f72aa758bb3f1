"""The issuer for development: real clients get their tokens from it, and production never sees it."""

import base64
import hashlib
import os
import re
import secrets
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

DEVELOPMENT = {"ERLMCP_ENVIRONMENT": "development"}
LISTENS = ("--http", "127.0.0.1:0")
LIMIT_S = 30.0


@pytest.fixture
def issuers():
    """A function that starts an issuer; its URL."""
    running = []

    def start(*flags, audience="http://127.0.0.1:1/mcp"):
        process = subprocess.Popen(
            [sys.executable, "-m", "erlmcp.cli.main", "dev-issuer", *LISTENS, "--audience", audience, *flags],
            env={**os.environ, **DEVELOPMENT},
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None, "it has not started"
        return found[0]

    yield start
    for process in running:
        process.terminate()
        process.wait(LIMIT_S)
        process.stdout.close()


def guarded(serve, folder, issuer, more=""):
    """A server that takes tokens of the issuer, for its own address."""
    with_port = serve("--config", str(folder / "erlmcp.toml"), env=DEVELOPMENT)
    (folder / "erlmcp.toml").write_text(
        f'[auth]\nresource = "http://127.0.0.1:1/mcp"\n{more}\n[[auth.issuers]]\nissuer = "{issuer}"\n'
    )
    return with_port.started()


def token(issuer, **given):
    form = {"grant_type": "client_credentials", "client_id": "robot", **given}
    answer = httpx.post(f"{issuer}/token", data=form, timeout=LIMIT_S)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def ping(server, credential):
    """The status of an initialize."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "0"},
        },
    }
    headers = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {credential}"}
    return httpx.post(f"{server.url}", json=message, headers=headers, timeout=LIMIT_S).status_code


def test_a_token_of_it_is_good_for_the_server_it_was_made_for_only(serve, issuers, tmp_path):
    issuer = issuers()
    server = guarded(serve, tmp_path, issuer)
    assert ping(server, token(issuer)) == 200
    assert ping(server, token(issuer, resource="http://127.0.0.1:2/mcp")) == 401
    assert ping(server, token(issuers())) == 401, "another process has other keys"
    assert ping(server, "nonsense") == 401


def test_opaque_tokens_are_asked_about(serve, issuers, tmp_path):
    issuer = issuers("--opaque")
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("anything")
    (tmp_path / "erlmcp.toml").write_text(
        '[auth]\nresource = "http://127.0.0.1:1/mcp"\n[[auth.issuers]]\n'
        f'issuer = "{issuer}"\nintrospection_url = "{issuer}/introspect"\n'
        f'client_id = "erlmcp"\nclient_secret_file = "{secret}"\n'
    )
    server = serve("--config", str(tmp_path / "erlmcp.toml"), env=DEVELOPMENT).started()
    good = token(issuer)
    assert "." not in good
    assert ping(server, good) == 200
    assert ping(server, "nonsense") == 401


def code_flow(issuer, verifier, tried):
    """What a public client does by hand: register, authorize with PKCE, exchange."""
    back = "http://127.0.0.1:9/back"
    client = httpx.post(
        f"{issuer}/register",
        json={"redirect_uris": [back], "token_endpoint_auth_method": "none"},
        timeout=LIMIT_S,
    ).json()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": client["client_id"],
        "redirect_uri": back,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "resource": "http://127.0.0.1:1/mcp",
    }
    gone_to = httpx.get(f"{issuer}/authorize", params=asked, timeout=LIMIT_S).headers["location"]
    form = {
        "grant_type": "authorization_code",
        "client_id": client["client_id"],
        "code": parse_qs(urlsplit(gone_to).query)["code"][0],
        "redirect_uri": back,
        "code_verifier": tried,
    }
    return [httpx.post(f"{issuer}/token", data=form, timeout=LIMIT_S) for _ in range(2)]


def test_a_code_is_good_once_and_with_its_verifier_only(serve, issuers, tmp_path):
    issuer = issuers()
    server = guarded(serve, tmp_path, issuer)
    verifier = secrets.token_urlsafe(48)
    first, again = code_flow(issuer, verifier, verifier)
    assert ping(server, first.json()["access_token"]) == 200
    assert again.status_code == 400
    assert code_flow(issuer, verifier, verifier[::-1])[0].status_code == 400


def test_a_page_lured_to_it_by_its_name_is_given_nothing(issuers):
    form = {"grant_type": "client_credentials", "client_id": "page"}
    answer = httpx.post(
        f"{issuers()}/token", data=form, headers={"host": "evil.example.com"}, timeout=LIMIT_S
    )
    assert (answer.status_code, "access_token" in answer.text) == (400, False)


def test_the_metadata_name_what_there_is(issuers):
    issuer = issuers()
    metadata = httpx.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=LIMIT_S).json()
    assert metadata["issuer"] == issuer
    assert httpx.get(metadata["jwks_uri"], timeout=LIMIT_S).json()["keys"][0]["kty"] == "EC"
    assert metadata["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize(
    ("flags", "env", "error_id"),
    [
        ((), {}, "auth.test-issuer"),
        ((), {"ERLMCP_ENVIRONMENT": "production"}, "auth.test-issuer"),
        (("--http", "0.0.0.0:0"), DEVELOPMENT, "listen.not-loopback"),
    ],
)
def test_it_never_runs_in_production_nor_for_others(flags, env, error_id):
    clean = {name: value for name, value in os.environ.items() if name != "ERLMCP_ENVIRONMENT"}
    done = subprocess.run(
        [sys.executable, "-m", "erlmcp.cli.main", "dev-issuer", *flags],
        env={**clean, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, f"error[{error_id}]" in done.stderr) == (2, True), done.stderr


def test_a_server_in_production_takes_no_issuer_that_is_one_for_tests(tmp_path):
    file = tmp_path / "erlmcp.toml"
    text = '[auth]\nresource = "https://a.example/mcp"\n[[auth.issuers]]\nissuer = "{}"\n'
    clean = {name: value for name, value in os.environ.items() if name != "ERLMCP_ENVIRONMENT"}
    for issuer, env, code in (
        ("http://127.0.0.1:9400", {}, 2),
        ("http://127.0.0.1:9400", DEVELOPMENT, 0),
        ("https://login.example.com", {}, 0),
    ):
        file.write_text(text.format(issuer))
        done = subprocess.run(
            [sys.executable, "-m", "erlmcp.cli.main", "check-config", "--config", str(file)],
            env={**clean, **env},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (done.returncode, "auth.test-issuer" in done.stderr) == (code, code == 2), done.stderr
