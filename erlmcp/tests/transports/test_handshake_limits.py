"""Limits, time-outs and messages of sessions over HTTP: what the modern era has, this one has too."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.behaviour("limits.in-flight", transport="http", era="handshake")
async def test_one_request_too_many_is_503_and_says_when_to_come_back(serve, raw):
    served = await serve(limits={"max_in_flight": 1})
    session = await served.initialize()
    fields = {"mcp-session-id": session}
    client = await served.connect()
    await client.post(raw.handshake("tools/call", 1, name="wait", arguments={}), headers=fields)
    await asyncio.wait_for(served.workshop.started.wait(), 10)
    refused = await served.session_call(session, raw.handshake("ping", 2))
    assert (refused.status, refused.json["error"]["code"], refused.json["id"]) == (503, -31503, 2)
    assert refused.headers["retry-after"] == "1"
    served.workshop.release.set()
    assert (await client.reply()).status == 200
    assert (await served.session_call(session, raw.handshake("ping", 3))).status == 200


@pytest.mark.behaviour("timeouts.request", transport="http", era="handshake")
async def test_a_request_that_takes_too_long_is_answered_and_its_session_goes_on(serve, raw):
    served = await serve(mcp={"request_timeout_s": 0.3})
    session = await served.initialize()
    reply = await served.session_call(session, raw.handshake("tools/call", 1, name="wait", arguments={}))
    assert (reply.status, reply.json["error"]["code"]) == (504, -31504)
    await asyncio.wait_for(served.workshop.cancelled.wait(), 10)
    assert (await served.session_call(session, raw.handshake("ping", 2))).status == 200


@pytest.mark.behaviour("limits.rate", transport="http", era="handshake")
async def test_a_client_beyond_its_rate_is_429_with_its_id_and_a_time(serve, raw):
    served = await serve(limits={"requests_per_s": 0.01, "burst": 2})
    session = await served.initialize()
    assert (await served.session_call(session, raw.handshake("ping", 1))).status == 200
    refused = await served.session_call(session, raw.handshake("ping", 2))
    assert (refused.status, refused.json["error"]["code"], refused.json["id"]) == (429, -31429, 2)
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.behaviour("messages.ids-keep-their-type", transport="http", era="handshake")
@pytest.mark.parametrize("request_id", [0, -1, 2**53 - 1, "1", "", "\u00fc"])
async def test_the_id_comes_back_as_it_was_sent(serve, raw, request_id):
    served = await serve()
    reply = await served.session_call(await served.initialize(), raw.handshake("ping", request_id))
    assert reply.json["id"] == request_id
    assert type(reply.json["id"]) is type(request_id)


@pytest.mark.behaviour("messages.malformed-is-answered", transport="http", era="handshake")
@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"{", -32700, None),
        (b"[]", -32600, None),
        (b'{"jsonrpc":"1.0","id":5,"method":"ping"}', -32600, 5),
        (b'{"jsonrpc":"2.0","id":6,"method":7}', -32600, 6),
    ],
)
async def test_what_is_no_message_is_answered_and_the_session_goes_on(serve, raw, body, code, request_id):
    served = await serve()
    session = await served.initialize()
    reply = await served.session_call(session, body)
    assert (reply.status, reply.json["error"]["code"], reply.json["id"]) == (400, code, request_id)
    assert (await served.session_call(session, raw.handshake("ping", 1))).status == 200


@pytest.mark.behaviour("errors.text-stays-here", transport="http", era="handshake")
async def test_what_a_handler_raises_is_not_told(serve, raw):
    served = await serve()
    message = raw.handshake("tools/call", 1, name="fail", arguments={})
    reply = await served.session_call(await served.initialize(), message)
    assert reply.json["result"]["isError"] is True
    assert b"swordfish" not in reply.body


@pytest.mark.behaviour("progress.before-the-answer", transport="http", era="handshake")
async def test_progress_comes_before_the_answer_and_names_its_token(serve, raw):
    served = await serve()
    session = await served.initialize()
    client = await served.connect()
    arguments = {"count": 3, "size": 1}
    message = raw.handshake("tools/call", 1, name="steps", arguments=arguments, _meta={"progressToken": "t"})
    await client.post(message, headers={"mcp-session-id": session})
    assert (await client.head()).headers["content-type"] == "text/event-stream"
    got = [event async for event in client.events()]
    assert [each.get("method") for each in got] == ["notifications/progress"] * 3 + [None]
    assert {each["params"]["progressToken"] for each in got[:3]} == {"t"}
