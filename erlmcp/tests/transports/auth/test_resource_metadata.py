"""A client that knows nothing but the address finds out who issues tokens, and may read it from any page."""

import json

import pytest
from doors import HTTP_DOORS
from issuer import RESOURCE

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.edge.auth.metadata import document, metadata_path, metadata_url

pytestmark = pytest.mark.anyio

URL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
PATHS = ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp")


@pytest.fixture
async def guarded(serve, issuer):
    """A server that takes tokens of an issuer."""
    return await serve(
        auth={"resource": RESOURCE, "issuers": [{"issuer": issuer.name}], "required_scopes": ("notes",)}
    )


async def asked(served, path, verb="GET", **fields):
    client = await served.connect()
    lines = "".join(
        f"{name.replace('_', '-')}: {value}\r\n" for name, value in {"Host": "127.0.0.1", **fields}.items()
    )
    await client.send(f"{verb} {path} HTTP/1.1\r\n{lines}\r\n".encode())
    return await client.reply(to_head=verb == "HEAD")


@pytest.mark.parametrize("path", PATHS)
async def test_it_says_who_issues_tokens_and_for_what_without_asking_for_one(guarded, issuer, path):
    reply = await asked(guarded, path)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.body) == {
        "resource": RESOURCE,
        "authorization_servers": [issuer.name],
        "scopes_supported": ["notes"],
        "bearer_methods_supported": ["header"],
    }
    assert "max-age" in reply.headers["cache-control"]
    assert (await asked(guarded, path, "HEAD")).status == 200
    assert guarded.rejected("auth") == 0


async def test_pages_from_anywhere_may_read_it_and_nothing_else(guarded):
    reply = await asked(guarded, PATHS[0], Origin="https://inspector.example")
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "*")
    asks_first = await asked(guarded, PATHS[0], "OPTIONS", Origin="https://inspector.example")
    assert (asks_first.status, asks_first.headers["access-control-allow-origin"]) == (204, "*")
    assert (await asked(guarded, "/mcp", Origin="https://inspector.example")).status == 403


async def test_the_host_is_checked_all_the_same_and_it_can_only_be_read(guarded):
    assert (await asked(guarded, PATHS[0], Host="rebound.example")).status == 403
    assert (await asked(guarded, PATHS[0], "POST", Content_Length="0")).status == 405
    assert (await asked(guarded, PATHS[0] + "/other")).status == 404


@pytest.mark.parametrize("door", HTTP_DOORS)
async def test_every_refusal_says_where_it_is(guarded, knock, door):
    for credentials, error in (((), False), (("Bearer nobodys",), True)):
        status, fields = await knock(door, guarded, *credentials)
        assert status == 401
        assert f'resource_metadata="{URL}"' in fields["www-authenticate"]
        assert ('error="invalid_token"' in fields["www-authenticate"]) is error


async def test_over_tcp_the_error_says_so(guarded, knock):
    status, data = await knock("tcp", guarded, "Bearer nobodys")
    assert (status, data["resource_metadata"]) == (401, URL)


async def test_where_no_issuer_is_named_there_is_none(serve, tokens, knock):
    tokens.add("alice")
    served = await serve(auth={"tokens_file": str(tokens.path)})
    assert (await asked(served, PATHS[0])).status == 404
    assert "resource_metadata" not in (await knock("post", served))[1]["www-authenticate"]
    assert (await asked(await serve(), PATHS[0])).status == 404


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://h.example", ""),
        ("https://h.example/", ""),
        ("https://h.example/mcp", "/mcp"),
        ("https://h.example:8443/public/mcp", "/public/mcp"),
    ],
)
async def test_the_path_of_the_resource_follows_the_well_known_one(resource, path):
    settings = AuthSettings(resource=resource, issuers=[{"issuer": "https://issuer.example"}])
    assert metadata_path(settings) == PATHS[0] + path
    origin = resource.removeprefix("https://").partition("/")[0]
    assert metadata_url(settings) == f"https://{origin}{PATHS[0]}{path}"
    assert json.loads(document(settings))["resource"] == resource
