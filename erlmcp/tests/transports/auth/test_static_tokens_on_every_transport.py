"""A token on every way in: nobody without a good one gets past the door, and the door says what it wants."""

import asyncio
import logging

import pytest
from doors import DOORS, HTTP_DOORS, INSIDE

from erlmcp.edge.auth.bearer import MAX_TOKEN_CHARS
from erlmcp.telemetry.logs import JsonLines
from erlmcp.transports.tcp.greeting import MAX_LINE_BYTES

pytestmark = pytest.mark.anyio


def is_inside(door, answer):
    status, fields = answer
    return status == INSIDE[door] and "www-authenticate" not in fields and "error" not in fields


@pytest.fixture
async def guarded(serve, tokens):
    """A server that asks for tokens, and alice's."""
    alice = tokens.add("alice", "notes:read")
    served = await serve(auth={"tokens_file": str(tokens.path), "reload_interval_s": 0.05})
    served.alice = alice
    return served


@pytest.mark.parametrize("door", DOORS)
async def test_a_good_token_lets_in_also_the_second_time(guarded, knock, door):
    for _ in range(3):
        assert is_inside(door, await knock(door, guarded, f"Bearer {guarded.alice}"))
    assert guarded.rejected("auth") == 0


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("door", ["post", "websocket", "tcp"])
async def test_the_scheme_is_read_without_case(guarded, knock, door, scheme):
    assert is_inside(door, await knock(door, guarded, f"{scheme} {guarded.alice}"))


@pytest.mark.parametrize("door", HTTP_DOORS)
async def test_without_a_token_the_door_says_that_one_is_needed_and_no_error(guarded, knock, door):
    status, fields = await knock(door, guarded)
    assert (status, fields["www-authenticate"]) == (401, 'Bearer realm="mcp"')
    assert guarded.rejected("auth") == 1


@pytest.mark.behaviour("auth.token-needed", era="any")
@pytest.mark.parametrize("transport", ["http", "tcp", "websocket", "sse"])
async def test_nobody_without_a_good_token_is_served_over_any_transport(guarded, knock, transport):
    door = "post" if transport == "http" else transport
    assert is_inside(door, await knock(door, guarded, f"Bearer {guarded.alice}"))
    for credentials in ((), (f"Bearer {guarded.alice[:-1]}",), ("Bearer",)):
        if door != "tcp" or credentials:  # a line that is no token is no token
            assert not is_inside(door, await knock(door, guarded, *credentials))


@pytest.mark.parametrize("door", HTTP_DOORS)
async def test_another_scheme_counts_as_no_token(guarded, knock, door):
    status, fields = await knock(door, guarded, "Basic YWxpY2U6c2VjcmV0")
    assert (status, fields["www-authenticate"]) == (401, 'Bearer realm="mcp"')


@pytest.mark.parametrize("door", HTTP_DOORS)
async def test_an_unknown_token_is_invalid(guarded, knock, door):
    status, fields = await knock(door, guarded, f"Bearer {guarded.alice}x")
    assert status == 401
    assert 'error="invalid_token"' in fields["www-authenticate"]


@pytest.mark.parametrize("door", HTTP_DOORS)
@pytest.mark.parametrize(
    "credentials",
    [
        ("Bearer",),
        ("Bearer ",),
        ("Bearer a b",),
        ("Bearer a, Bearer b",),
        ("Bearer ünï",),
        ("Bearer =",),
        ("Bearer " + "a" * (MAX_TOKEN_CHARS + 1),),
        ("Bearer {alice}", "Bearer {alice}"),
        ("Bearer {alice}", "Basic e30="),
        ("Basic e30=", "Bearer {alice}"),
    ],
)
async def test_a_field_that_is_wrong_is_a_bad_request_also_beside_a_good_one(
    guarded, knock, door, credentials
):
    assert is_inside(door, await knock(door, guarded, f"Bearer {guarded.alice}"))
    status, fields = await knock(door, guarded, *(each.format(alice=guarded.alice) for each in credentials))
    assert status == 400
    assert 'error="invalid_request"' in fields["www-authenticate"]


async def test_a_token_may_be_as_long_as_is_said(guarded, knock):
    status, fields = await knock("post", guarded, "Bearer " + "a" * MAX_TOKEN_CHARS)
    assert (status, "invalid_token" in fields["www-authenticate"]) == (401, True)


@pytest.mark.parametrize("door", HTTP_DOORS)
@pytest.mark.parametrize("name", ["access_token", "access%5ftoken"])
async def test_a_token_in_the_query_is_refused_even_beside_a_good_one(guarded, knock, door, name):
    query = f"?a=b&{name}={guarded.alice}"
    for credentials in ((), (f"Bearer {guarded.alice}",)):
        status, fields = await knock(door, guarded, *credentials, query=query)
        assert status == 400
        assert 'error="invalid_request"' in fields["www-authenticate"]


@pytest.mark.parametrize("door", DOORS)
async def test_who_lacks_a_scope_that_all_need_is_told_which(serve, tokens, knock, door):
    reader, both = tokens.add("reader", "a"), tokens.add("both", "b", "a", "c")
    served = await serve(auth={"tokens_file": str(tokens.path), "required_scopes": ("b", "a")})
    status, fields = await knock(door, served, f"Bearer {reader}")
    if door == "tcp":
        assert fields == {"error": "insufficient_scope", "scope": "a b"}
    else:
        assert status == 403
        assert 'scope="a b", error="insufficient_scope"' in fields["www-authenticate"]
    assert is_inside(door, await knock(door, served, f"Bearer {both}"))
    if door != "tcp":
        assert 'scope="b a"' in (await knock(door, served))[1]["www-authenticate"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_token_whose_line_is_gone_is_refused_also_where_it_was_known(
    guarded, tokens, knock, door, raw
):
    credential = f"Bearer {guarded.alice}"
    bob = tokens.add("bob")
    await until_known(knock, guarded, f"Bearer {bob}")
    assert is_inside(door, await knock(door, guarded, credential))
    tokens.remove("alice")
    async with asyncio.timeout(20):
        while is_inside(door, await knock(door, guarded, credential)):
            pass
    assert is_inside(door, await knock(door, guarded, f"Bearer {bob}"))


async def until_known(knock, served, credential):
    async with asyncio.timeout(20):
        while not is_inside("post", await knock("post", served, credential)):
            pass


async def test_a_file_that_became_wrong_changes_nothing_and_is_told(guarded, tokens, knock, raw, caplog):
    credential = f"Bearer {guarded.alice}"
    tokens.path.write_text("alice sha256:short")
    await raw.until(lambda: "auth.tokens-not-reloaded" in caplog.text, "the log line")
    assert is_inside("post", await knock("post", guarded, credential))
    tokens.path.unlink()
    assert is_inside("post", await knock("post", guarded, credential))


async def test_a_browser_may_ask_before_it_sends_and_its_page_may_read_the_refusal(serve, tokens, raw):
    origin = "https://app.example.com"
    served = await serve(auth={"tokens_file": str(tokens.path)}, mcp={"allowed_origins": (origin,)})
    client = await served.connect()
    for path in ("/mcp", "/sse", "/messages"):
        head = f"OPTIONS {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\n\r\n"
        await client.send(head.encode())
        assert (await client.reply()).status == 204
        await client.send(head.replace("OPTIONS", "GET").encode())
        reply = await client.reply()
        assert reply.status == 401
        assert reply.headers["access-control-allow-origin"] == origin
        assert "WWW-Authenticate" in reply.headers["access-control-expose-headers"]


async def test_pages_of_strangers_are_refused_before_their_token_is_looked_at(guarded, knock, raw):
    message = raw.modern("tools/list")
    headers = {**raw.modern_headers(message), "origin": "https://evil.example", "authorization": "Bearer x"}
    assert (await (await guarded.connect()).call(message, headers=headers)).status == 403
    assert guarded.rejected("auth") == 0


async def test_guesses_count_against_the_rate_of_their_address(serve, tokens, knock):
    served = await serve(auth={"tokens_file": str(tokens.path)}, limits={"requests_per_s": 0.001, "burst": 3})
    statuses = [(await knock("post", served, f"Bearer guess{number}"))[0] for number in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


async def test_guesses_do_not_use_up_the_rate_that_all_clients_share(serve, tokens, knock):
    alice = tokens.add("alice")
    served = await serve(
        auth={"tokens_file": str(tokens.path)}, limits={"total_requests_per_s": 0.001, "total_burst": 2}
    )
    assert {(await knock("post", served, f"Bearer guess{number}"))[0] for number in range(5)} == {401}
    assert [(await knock("post", served, f"Bearer {alice}"))[0] for _ in range(3)] == [200, 200, 429]


async def test_the_rate_of_a_client_is_that_of_its_token(serve, tokens, knock):
    alice, bob = tokens.add("alice"), tokens.add("bob")
    served = await serve(
        auth={"tokens_file": str(tokens.path)}, limits={"client_requests_per_s": 0.001, "client_burst": 2}
    )
    for _ in range(2):
        assert is_inside("post", await knock("post", served, f"Bearer {alice}"))
    assert not is_inside("post", await knock("post", served, f"Bearer {alice}"))
    assert served.rejected("rate") == 1
    assert is_inside("post", await knock("post", served, f"Bearer {bob}"))


async def test_routes_of_the_guest_are_open_as_they_are_where_it_serves_by_itself(serve, tokens, tmp_path):
    (tmp_path / "routed.py").write_text(
        "from mcp.server import MCPServer\n"
        "from starlette.responses import PlainTextResponse\n"
        "server = MCPServer('routed')\n"
        "@server.custom_route('/hello', ['GET'])\n"
        "async def hello(request):\n"
        "    return PlainTextResponse('hello')\n"
    )
    served = await serve(str(tmp_path / "routed.py"), auth={"tokens_file": str(tokens.path)})
    client = await served.connect()
    await client.send(b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await client.reply()).body == b"hello"


async def test_calls_at_once_stop_when_the_token_does(guarded, tokens, raw):
    """The third call of a head that is known is answered while it is read: that way has a door too."""
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    headers = {**raw.modern_headers(message), "authorization": f"Bearer {guarded.alice}"}
    client = await guarded.connect()
    for _ in range(5):
        assert (await client.call(message, headers=headers)).status == 200
    tokens.remove("alice")
    async with asyncio.timeout(20):
        while (await client.call(message, headers=headers)).status == 200:
            pass
    assert (await client.call(message, headers=headers)).status == 401


async def test_nothing_of_a_token_is_ever_logged(guarded, knock, caplog):
    caplog.set_level(logging.DEBUG)
    for door in DOORS:
        await knock(door, guarded, f"Bearer {guarded.alice}")
        await knock(door, guarded, f"Bearer canary{guarded.alice}")
    form = JsonLines("g1")
    written = "\n".join(form.format(record) + record.getMessage() for record in caplog.records)
    assert guarded.alice not in written
    assert "canary" not in written


# -- long-lived channels --


@pytest.mark.parametrize("door", ["websocket", "sse"])
async def test_a_channel_ends_when_its_token_does(guarded, tokens, knock, raw, door):
    client = await guarded.connect()
    await client.send(knock.request(door, f"Bearer {guarded.alice}"))
    assert (await client.head()).status == INSIDE[door]
    tokens.remove("alice")
    if door == "sse":
        assert [piece async for piece in client.chunks()]  # to the end of the stream
    else:
        assert (await client.rest())[:4] == b"\x88\x02\x03\xf0"  # 1008
    assert guarded.rejected("auth-expired") == 1


# -- TCP --


async def test_requests_may_follow_the_token_at_once(guarded, lines, raw):
    client = await lines(guarded)
    first = b'{"authorization":"Bearer ' + guarded.alice.encode() + b'"}\n'
    asks = [raw.modern("tools/list", number) for number in (1, 2)]
    await client.send(first + b"".join(raw.line(each) for each in asks))
    assert {(await client.receive())["id"] for _ in asks} == {1, 2}


@pytest.mark.parametrize(
    "first",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        b'{"authorization":"Bearer {alice}","more":1}\n',
        b'{"authorization":["Bearer {alice}"]}\n',
        b'["authorization"]\n',
        b'"Bearer {alice}"\n',
        b"Bearer {alice}\n",
        b'{"authorization":"Bearer {alice}x"}\n',
        b'{"authorization":"Basic e30="}\n',
        b'{"authorization":"{alice}"}\n',
        b"\xff\xfe\n",
        b'{"authorization":"Bearer \xc3\xbc"}\n',
        b'{"authorization":"Bearer ' + b"a" * MAX_LINE_BYTES + b'"}\n',
        b"a" * (MAX_LINE_BYTES + 1),
    ],
)
async def test_any_other_first_line_is_told_and_closes(guarded, lines, raw, first):
    client = await lines(guarded)
    await client.send(first.replace(b"{alice}", guarded.alice.encode()))
    answer = await client.receive()
    assert (answer["id"], answer["error"]["code"]) == (None, -31401)
    assert await client.line() == b""
    assert guarded.rejected("auth") == 1


async def test_a_client_that_sends_no_token_is_not_waited_for(serve, tokens, lines):
    served = await serve(auth={"tokens_file": str(tokens.path)}, http={"header_timeout_s": 0.2})
    client = await lines(served)
    assert (await client.receive())["error"]["code"] == -31401
    assert await client.line() == b""


async def test_a_tcp_connection_ends_when_its_token_does(guarded, tokens, lines, raw):
    client = await lines(guarded)
    await client.send({"authorization": f"Bearer {guarded.alice}"})
    await client.send(raw.modern("tools/list"))
    assert "result" in await client.receive()
    tokens.remove("alice")
    assert await client.line() == b""
    assert guarded.rejected("auth-expired") == 1


async def test_without_auth_a_first_line_with_a_token_is_no_message(serve, lines):
    client = await lines(await serve())
    await client.send({"authorization": "Bearer x"})
    assert (await client.receive())["error"]["code"] == -32600
