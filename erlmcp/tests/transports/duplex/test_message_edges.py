"""Ids, numbers and nesting at their edges and beyond, with the same answer on every transport."""

import json

import pytest

pytestmark = pytest.mark.anyio

INVALID, UNREADABLE = -32600, -32700
DEPTH = 16
TRANSPORTS = ["http", "tcp", "stdio", "websocket", "sse"]
SERVED = [
    *(b"0", b"-1", b"9223372036854775807", b"-9223372036854775807"),
    *(b'""', b'"1"', b'"\\u0000"', b'"\\ud83c\\udf75"', b'"%b"' % (b"x" * 1000)),
]
REFUSED = [
    *(b"null", b"true", b"1.0", b"1e2", b"[]", b"{}", b"[1]"),
    *(b"9223372036854775808", b"-9223372036854775808", b"18446744073709551616", b"9" * 300),
]


@pytest.fixture(params=TRANSPORTS)
async def ask(request, connect, serve):
    """A function that sends bytes in a session of the handshake era and gives the answer."""
    served = await serve(mcp={"max_json_depth": DEPTH})
    if request.param == "http":
        session = await served.initialize()

        async def over_http(message):
            headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
            return (await (await served.connect()).call(message, headers=headers)).json

        return over_http
    client = await connect(request.param, served)
    await client.initialize()
    return client.call


def ping(request_id):
    return b'{"jsonrpc":"2.0","id":%b,"method":"ping"}' % request_id


def add(number):
    params = b'{"name":"add","arguments":{"a":%b,"b":1}}' % number
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params


async def test_an_id_is_kept_as_it_came_or_is_none(ask):
    for raw_id in SERVED:
        answer, wanted = await ask(ping(raw_id)), json.loads(raw_id)
        assert (answer["id"], type(answer["id"]), answer["result"]) == (wanted, type(wanted), {})
    for raw_id in REFUSED:
        answer = await ask(ping(raw_id))
        assert (answer["id"], answer["error"]["code"]) == (None, INVALID), raw_id


@pytest.mark.parametrize("number", [2**53, 2**63 - 1, 2**63, 2**64, -(2**64), 10**30, 10**300])
async def test_a_number_of_any_size_is_computed_with(ask, number):
    answer = await ask(add(b"%d" % number))
    assert answer["result"]["structuredContent"] == {"result": number + 1}


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1.5", b"9" * 5000, b"0.5" + b"0" * 5000])
async def test_what_is_no_integer_is_said_to_be_none_and_nothing_breaks(ask, number):
    answer = await ask(add(number))
    assert answer.get("error", {}).get("code") == UNREADABLE or answer["result"]["isError"] is True
    assert (await ask(ping(b"2")))["result"] == {}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"01", b"+1", b"1.", b".5", b"0x1", b"1e", b"--1"])
async def test_what_is_no_number_of_json_cannot_be_read(ask, number):
    assert (await ask(add(number)))["error"]["code"] == UNREADABLE


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_nesting_is_read_up_to_its_limit(ask, opening, closing):
    def nested(depth):
        value = opening * (depth - 2) + b"1" + closing * (depth - 2)  # within params within the message
        return b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":%b}}' % value

    assert (await ask(nested(DEPTH)))["result"] == {}
    for depth in (DEPTH + 1, 1000):
        answer = await ask(nested(depth))
        assert (answer["id"], answer["error"]["code"]) == (None, UNREADABLE)
