"""The modern era over HTTP, byte by byte."""

import asyncio
import json
import sys

import pytest

from erlmcp.sessions.bus import BusEvent, LocalBus
from erlmcp.sessions.sealed import KeyRing

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

MODERN = "2026-07-28"


async def ask(served, raw, message, **headers):
    client = await served.connect()
    fields = {**raw.modern_headers(message), **headers}
    return await client.call(message, headers=fields)


@pytest.mark.behaviour("answers.json-and-no-session", transport="http", era="modern")
async def test_a_quiet_call_is_answered_with_one_json_object_and_no_session(serve, raw):
    served = await serve()
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 2, "b": 3})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert "mcp-session-id" not in reply.headers
    assert reply.json["result"]["structuredContent"] == {"result": 5}
    assert reply.json["result"]["resultType"] == "complete"


@pytest.mark.behaviour("messages.ids-keep-their-type", transport="http", era="modern")
@pytest.mark.parametrize("request_id", ["1", 1, "", -7, 2**62, "ü"])
async def test_the_id_comes_back_as_it_was_sent(serve, raw, request_id):
    served = await serve()
    reply = await ask(served, raw, raw.modern("tools/list", request_id))
    assert reply.json["id"] == request_id
    assert type(reply.json["id"]) is type(request_id)


@pytest.mark.behaviour("progress.before-the-answer", transport="http", era="modern")
async def test_a_call_that_reports_progress_becomes_a_stream_that_ends_with_the_answer(serve, raw):
    served = await serve()
    message = raw.modern(
        "tools/call", 5, name="steps", arguments={"count": 2, "size": 1}, _meta={"progressToken": "t"}
    )
    client = await served.connect()
    await client.post(message, headers=raw.modern_headers(message))
    head = await client.head()
    events = [event async for event in client.events()]
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
    assert head.headers["x-accel-buffering"] == "no"
    assert [event.get("method") for event in events] == ["notifications/progress"] * 2 + [None]
    assert events[0]["params"]["progressToken"] == "t"
    assert events[-1]["id"] == 5
    await client.post(message, headers=raw.modern_headers(message))
    assert (await client.head()).status == 200, "the connection serves on after a stream"


@pytest.mark.behaviour("streams.quiet-call-is-pinged", transport="http", era="modern")
async def test_a_silent_call_becomes_a_stream_of_comments_when_a_ping_is_due(serve, raw):
    served = await serve(mcp={"ping_interval_s": 0.05})
    message = raw.modern("tools/call", name="wait")
    client = await served.connect()
    await client.post(message, headers=raw.modern_headers(message))
    assert (await client.head()).headers["content-type"] == "text/event-stream"
    pieces = client.chunks()
    assert [await anext(pieces), await anext(pieces)] == [b": ping\n\n"] * 2
    served.workshop.release.set()
    rest = b"".join([piece async for piece in pieces])
    assert rest.endswith(b"}\n\n")


@pytest.mark.behaviour("errors.http-status", transport="http", era="modern")
@pytest.mark.parametrize(
    ("method", "status", "code"),
    [
        ("no/such", 404, -32601),
        ("ping", 404, -32601),
        ("initialize", 404, -32601),
        ("logging/setLevel", 404, -32601),
        ("resources/read", 200, -32602),
    ],
)
async def test_errors_have_the_status_of_their_code(serve, raw, method, status, code):
    served = await serve()
    params = {"uri": "note://none"} if method == "resources/read" else {}
    reply = await served.modern_call(method, **params)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


@pytest.mark.behaviour("errors.text-stays-here", transport="http", era="modern")
async def test_what_a_handler_raises_is_not_told(serve, raw, caplog):
    served = await serve("plain.py:server")
    reply = await served.modern_call("tools/call", name="echo", arguments={"text": "\ud800"})
    assert reply.status == 400  # a lone surrogate is no JSON text
    broken = await serve("broken.py:server")
    reply = await broken.modern_call("tools/call", name="any")
    assert reply.json["error"] == {"code": -32603, "message": "Internal server error"}
    assert "swordfish" not in reply.body.decode()
    assert broken.outcomes("tools/call") == {"server_error": 1}


@pytest.mark.behaviour("headers.agree-with-the-body", transport="http", era="modern")
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-protocol-version": None}, -32020),
        ({"mcp-protocol-version": "2025-11-25"}, -32020),
        ({"mcp-protocol-version": "2099-01-01"}, -32020),
        ({"mcp-method": "tools/list"}, -32020),
        ({"mcp-method": None}, -32020),
        ({"mcp-name": "other"}, -32020),
        ({"mcp-name": None}, -32020),
        ({"mcp-name": "=?base64?YWRk"}, -32020),
        ({"mcp-name": "=?base64?YWR?="}, -32020),
        ({"mcp-session-id": "ignored", "last-event-id": "ignored"}, None),
        ({"mcp-name": "=?base64?YWRk?="}, None),
        ({"mcp-name": "add \t "}, None),
    ],
)
async def test_headers_must_agree_with_the_body(serve, raw, headers, code):
    served = await serve()
    message = raw.modern("tools/call", 9, name="add", arguments={"a": 1, "b": 1})
    reply = await ask(served, raw, message, **headers)
    assert reply.json["id"] == 9
    assert reply.json.get("error", {}).get("code") == code
    assert reply.status == (200 if code is None else 400)


@pytest.mark.behaviour("headers.sent-twice", transport="http", era="modern")
async def test_a_routing_header_sent_twice_is_a_mismatch(serve, raw):
    served = await serve()
    message = raw.modern("tools/list")
    data = raw.post_bytes(message, headers=raw.modern_headers(message))
    client = await served.connect()
    await client.send(
        data.replace(b"mcp-method: tools/list", b"mcp-method: tools/list\r\nMcp-Method: tools/list")
    )
    reply = await client.reply()
    assert (reply.status, reply.json["error"]["code"]) == (400, -32020)


@pytest.mark.behaviour("envelope.unknown-version", transport="http", era="modern")
async def test_an_unknown_version_that_agrees_with_itself_is_told_the_supported_ones(serve, raw):
    served = await serve()
    message = raw.modern("tools/list", _meta={"io.modelcontextprotocol/protocolVersion": "2099-01-01"})
    reply = await ask(served, raw, message, **{"mcp-protocol-version": "2099-01-01"})
    assert reply.status == 400
    assert reply.json["error"]["code"] == -32022
    assert reply.json["error"]["data"] == {"supported": [MODERN], "requested": "2099-01-01"}


@pytest.mark.behaviour("envelope.missing-key", transport="http", era="modern")
async def test_a_missing_envelope_key_is_invalid_params(serve, raw):
    served = await serve()
    message = raw.modern("tools/list")
    del message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    reply = await ask(served, raw, message)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32602)


@pytest.mark.behaviour("headers.of-arguments", transport="http", era="modern")
@pytest.mark.parametrize("target", ["annotated.py:server", "annotated.py:paged"])
async def test_a_header_of_an_annotated_argument_is_compared_with_the_argument(serve, raw, target):
    served = await serve(target)
    message = raw.modern("tools/call", name="route", arguments={"region": "eu"})
    assert (await ask(served, raw, message, **{"mcp-param-region": "eu"})).status == 200
    for headers in ({"mcp-param-region": "us"}, {}):
        reply = await ask(served, raw, message, **headers)
        assert (reply.status, reply.json["error"]["code"]) == (400, -32020)
    bare = raw.modern("tools/call", name="route")
    reply = await ask(served, raw, bare, **{"mcp-param-region": "eu"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32020)


async def test_the_list_of_tools_is_asked_for_once_until_it_changes(serve, raw):
    bus = LocalBus()
    served = await serve("annotated.py:paged", bus=bus)
    listings = sys.modules["erlmcp_guest_annotated"].listings
    message = raw.modern("tools/call", name="route", arguments={"region": "eu"})
    for _ in range(3):
        await ask(served, raw, message, **{"mcp-param-region": "eu"})
    assert listings == [None, "2"]
    bus.publish(BusEvent("tools"))
    await ask(served, raw, message, **{"mcp-param-region": "eu"})
    assert listings == [None, "2"] * 2


async def test_a_guest_that_cannot_list_its_tools_is_served_unchecked(serve, raw, caplog):
    served = await serve("annotated.py:silent")
    message = raw.modern("tools/call", name="route", arguments={"region": "eu"})
    assert (await ask(served, raw, message, **{"mcp-param-region": "us"})).status == 200
    assert "their headers and tasks go unchecked" in caplog.text


@pytest.mark.behaviour("messages.notification-is-202", transport="http", era="modern")
async def test_a_notification_is_taken_and_a_response_is_refused(serve, raw):
    served = await serve()
    client = await served.connect()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    reply = await client.call(note, headers={"mcp-protocol-version": MODERN})
    assert (reply.status, reply.body) == (202, b"")
    reply = await client.call(note, headers={"mcp-protocol-version": "2099-01-01"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
    answer = {"jsonrpc": "2.0", "id": 3, "result": {}}
    reply = await client.call(answer, headers={"mcp-protocol-version": MODERN})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32600)


@pytest.mark.behaviour("messages.malformed-is-answered", transport="http", era="modern")
@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 70 + b"1" + b"}" * 71, -32700, None),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"x"}', -32700, None),
        (b'{"jsonrpc":"2.0","id":99999999999999999999,"method":"x"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1.0,"method":"x"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', -32600, None),
        (b'{"jsonrpc":"1.0","id":"a","method":"x"}', -32600, "a"),
        (b'{"jsonrpc":"2.0","id":4,"method":7}', -32600, 4),
        (b'{"jsonrpc":"2.0","id":4,"method":"x","params":[]}', -32600, 4),
        (b'{"jsonrpc":"2.0","id":4}', -32600, 4),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'"text"', -32600, None),
    ],
)
async def test_hostile_bodies_get_an_error_with_the_id_where_it_can_be_read(serve, body, code, request_id):
    served = await serve()
    reply = await (await served.connect()).call(body, headers={"mcp-protocol-version": MODERN})
    assert reply.status == 400
    assert (reply.json["error"]["code"], reply.json["id"]) == (code, request_id)


@pytest.mark.behaviour("disconnect.ends-what-runs", transport="http", era="modern")
async def test_a_client_that_goes_away_cancels_its_call(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    assert served.runtime.counts().in_flight == 1
    client.close()
    await asyncio.wait_for(served.workshop.cancelled.wait(), 5)
    assert served.runtime.counts().in_flight == 0
    assert served.outcomes("tools/call") == {"cancelled": 1}


@pytest.mark.behaviour("timeouts.request", transport="http", era="modern")
async def test_a_call_that_takes_too_long_is_ended_with_an_error(serve, raw):
    served = await serve(mcp={"request_timeout_s": 0.1})
    reply = await served.modern_call("tools/call", name="wait")
    assert (reply.status, reply.json["error"]["code"]) == (504, -31504)
    await asyncio.wait_for(served.workshop.cancelled.wait(), 5)
    assert served.outcomes("tools/call") == {"timeout": 1}


@pytest.mark.behaviour("limits.in-flight", transport="http", era="modern")
async def test_one_request_too_many_is_503_and_says_when_to_come_back(serve, raw):
    served = await serve(limits={"max_in_flight": 1})
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 1})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert (reply.json["id"], reply.json["error"]["code"]) == (1, -31503)
    served.workshop.release.set()
    assert (await client.reply()).status == 200
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 1})
    assert reply.status == 200


@pytest.mark.behaviour("limits.in-flight-per-client", transport="http", era="modern")
@pytest.mark.parametrize("tool", ["add", "wait"])
async def test_one_request_of_a_client_too_many_is_429_and_a_freed_place_is_given_again(serve, raw, tool):
    served = await serve(limits={"max_in_flight_per_client": 1, "loopback": True})
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    reply = await served.modern_call("tools/call", name=tool, arguments={"a": 1, "b": 1})
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert (reply.json["id"], reply.json["error"]["code"]) == (1, -31429)
    assert served.rejected("in-flight-per-client") == 1
    served.workshop.release.set()
    assert (await client.reply()).status == 200
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 1})
    assert reply.status == 200


@pytest.mark.behaviour("metrics.tool-errors", transport="http", era="modern")
async def test_a_call_that_fails_in_the_tool_is_counted_as_such(serve, raw):
    served = await serve()
    reply = await served.modern_call("tools/call", name="fail")
    assert reply.json["result"]["isError"] is True
    await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 1})
    await served.modern_call("made/up", name="x")
    assert served.outcomes("tools/call") == {"tool_error": 1, "ok": 1}
    assert served.outcomes("other") == {"client_error": 1}


@pytest.mark.behaviour("workers.request-state-anywhere", transport="http", era="modern")
@pytest.mark.parametrize(("same_keys", "finished"), [(True, True), (False, False)])
async def test_the_next_round_of_a_call_may_come_to_another_worker_with_the_same_keys(
    serve, raw, same_keys, finished
):
    other_ring = {} if same_keys else {"ring": KeyRing([KeyRing.generate()])}
    first, second = await serve("asking.py:make"), await serve("asking.py:make", **other_ring)
    meta = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    message = raw.modern("tools/call", name="ask_name", _meta=meta)
    asked = (await ask(first, raw, message)).json["result"]
    assert asked["resultType"] == "input_required"
    answers = {key: {"action": "accept", "content": {"name": "Ada"}} for key in asked["inputRequests"]}
    message = raw.modern(
        "tools/call",
        2,
        name="ask_name",
        inputResponses=answers,
        requestState=asked["requestState"],
        _meta=meta,
    )
    answer = (await ask(second, raw, message)).json
    if finished:
        assert answer["result"]["content"][0]["text"] == "Ada"
    else:
        assert answer["error"]["code"] == -32602


@pytest.mark.parametrize(("kept", "finished"), [(True, True), (False, False)], ids=["kept", "dropped"])
async def test_the_next_round_of_a_call_lives_through_a_change_of_keys_that_keeps_its_key(
    serve, raw, kept, finished
):
    old, new = KeyRing.generate(), KeyRing.generate()
    ring = KeyRing([old])
    served = await serve("asking.py:make", ring=ring)
    meta = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    asked = (await ask(served, raw, raw.modern("tools/call", name="ask_name", _meta=meta))).json["result"]
    ring.replace([new, old] if kept else [new])
    answers = {key: {"action": "accept", "content": {"name": "Ada"}} for key in asked["inputRequests"]}
    again = raw.modern(
        "tools/call",
        2,
        name="ask_name",
        inputResponses=answers,
        requestState=asked["requestState"],
        _meta=meta,
    )
    assert ("result" in (await ask(served, raw, again)).json) is finished


async def test_handlers_see_the_http_request_and_the_lifespan(serve, raw):
    served = await serve()
    message = raw.modern("tools/call", name="header", arguments={"name": "x-colour"})
    reply = await ask(served, raw, message, **{"x-colour": "green"})
    assert reply.json["result"]["structuredContent"] == {"result": "green"}
    reply = await served.modern_call("tools/call", name="colour")
    assert json.loads(reply.body)["result"]["structuredContent"] == {"result": "blue"}
