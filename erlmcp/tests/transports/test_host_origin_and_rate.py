"""Who may call, and how often, seen from the socket."""

import logging

import pytest

pytestmark = pytest.mark.anyio


async def ask(served, raw, **headers):
    message = raw.modern("tools/list", 5)
    client = await served.connect()
    return await client.call(message, headers={**raw.modern_headers(message), **headers})


@pytest.mark.behaviour("edge.host", transport="http", era="any")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("mcp.example.com", 200),
        ("mcp.example.com:444", 200),
        ("exact.example.com:8443", 200),
        ("exact.example.com", 403),
        ("evil.example.com", 403),
        ("127.0.0.1.evil.example.com", 403),
        ("", 403),
        (None, 400),
    ],
)
async def test_host_must_be_ours(serve, raw, host, status):
    served = await serve(mcp={"allowed_hosts": ("mcp.example.com", "exact.example.com:8443")})
    for _ in range(2):
        assert (await ask(served, raw, host=host)).status == status


@pytest.mark.behaviour("edge.origin", transport="http", era="any")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1", 200),
        ("https://[::1]:1", 200),
        ("https://app.example.com", 200),
        ("https://app.example.com:444", 403),
        ("http://app.example.com", 403),
        ("https://evil.example.com", 403),
        ("null", 403),
        ("http://localhost.evil.example.com", 403),
        ("file://localhost", 403),
        ("", 403),
    ],
)
async def test_origin_must_be_allowed_on_every_method(serve, raw, origin, status):
    served = await serve(mcp={"allowed_origins": ("https://app.example.com",)})
    reply = await ask(served, raw, origin=origin)
    assert reply.status == status
    if origin and status == 200:
        assert reply.headers["access-control-allow-origin"] == origin
    else:
        assert "access-control-allow-origin" not in reply.headers
    if status == 403:
        client = await served.connect()
        for method in ("GET", "DELETE", "OPTIONS"):
            await client.send(
                f"{method} /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\n\r\n".encode()
            )
            assert (await client.reply()).status == 403


@pytest.mark.behaviour("edge.refusal-is-explained", transport="http", era="any")
async def test_the_refusal_names_the_setting_to_change_once(serve, raw, caplog):
    caplog.set_level(logging.WARNING)
    served = await serve()
    for _ in range(3):
        await ask(served, raw, host="mcp.example.com")
    assert caplog.text.count("mcp.allowed_hosts") == 1
    assert served.rejected("host-origin") == 3


@pytest.mark.behaviour("edge.preflight", transport="http", era="any")
async def test_a_browser_that_asks_first_is_told_what_it_may_send(serve):
    served = await serve()
    client = await served.connect()
    await client.send(
        b"OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://localhost:1\r\n"
        b"Access-Control-Request-Headers: content-type,mcp-param-region\r\n\r\n"
    )
    reply = await client.reply()
    assert reply.status == 204
    assert "Mcp-Session-Id" in reply.headers["access-control-allow-headers"]
    assert "mcp-param-region" in reply.headers["access-control-allow-headers"]


@pytest.mark.behaviour("limits.rate", transport="http", era="modern")
async def test_a_client_beyond_its_rate_is_429_with_its_id_and_a_time(serve, raw):
    served = await serve(limits={"requests_per_s": 0.01, "burst": 3})
    assert [(await ask(served, raw)).status for _ in range(3)] == [200] * 3
    reply = await ask(served, raw)
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (429, 5, -31429)
    assert 1 <= int(reply.headers["retry-after"]) <= 100
    assert served.rejected("rate") == 1


@pytest.mark.behaviour("edge.media-types", transport="http", era="modern")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": None}, 406),
        ({"accept": "*/*"}, 200),
        ({"accept": "text/*;q=0.5, APPLICATION/JSON"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": None}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_media_types_are_checked(serve, raw, headers, status):
    served = await serve()
    assert (await ask(served, raw, **headers)).status == status


@pytest.mark.behaviour("edge.other-paths", transport="http", era="any")
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"POST /mcp/ HTTP/1.1", 404),
        (b"PUT /mcp HTTP/1.1", 405),
        (b"PATCH /mcp?x=1 HTTP/1.1", 405),
        (b"PUT http://127.0.0.1/mcp HTTP/1.1", 405),
    ],
)
async def test_other_paths_and_methods_are_turned_away(serve, line, status):
    served = await serve()
    client = await served.connect()
    await client.send(line + b"\r\nHost: 127.0.0.1\r\n\r\n")
    reply = await client.reply()
    assert reply.status == status
    assert ("allow" in reply.headers) == (status == 405)
