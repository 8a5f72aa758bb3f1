"""Batches of JSON-RPC messages: served in sessions of 2025-03-26, refused in words everywhere else."""

import asyncio
import json

import pytest

from erlmcp.protocol.jsonrpc import MAX_BATCH

pytestmark = pytest.mark.anyio

VERSION = "2025-03-26"
NOTE = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def add(raw, number):
    return raw.handshake("tools/call", number, name="add", arguments={"a": number, "b": 1})


async def post(served, session, batch, version=VERSION):
    return await served.session_call(session, batch, version)


@pytest.mark.behaviour("batch.each-request-is-answered", transport="http", era="handshake")
async def test_every_request_of_a_batch_is_answered_and_nothing_else(serve, raw):
    served = await serve()
    session = await served.initialize(VERSION)
    answer = {"jsonrpc": "2.0", "id": 12345, "result": {}}
    reply = await post(served, session, [add(raw, 1), NOTE, raw.handshake("ping", "p"), answer, add(raw, 2)])
    assert reply.status == 200
    answers = {each["id"]: each["result"] for each in reply.json}
    assert set(answers) == {1, "p", 2}
    assert (answers[1]["content"][0]["text"], answers[2]["content"][0]["text"], answers["p"]) == (
        "2",
        "3",
        {},
    )
    assert served.outcomes("tools/call") == {"ok": 2}


@pytest.mark.behaviour("batch.only-notifications", transport="http", era="handshake")
async def test_a_batch_without_requests_is_taken_with_202(serve, raw):
    served = await serve()
    session = await served.initialize(VERSION)
    reply = await post(served, session, [NOTE, NOTE])
    assert (reply.status, reply.body) == (202, b"")


@pytest.mark.behaviour("batch.as-a-stream", transport="http", era="handshake")
async def test_a_batch_whose_call_says_something_is_answered_as_a_stream(serve, raw):
    served = await serve()
    session = await served.initialize(VERSION)
    arguments = {"count": 2, "size": 1}
    steps = raw.handshake("tools/call", "s", name="steps", arguments=arguments, _meta={"progressToken": 1})
    client = await served.connect()
    await client.post([add(raw, 1), steps, add(raw, 2)], headers={"mcp-session-id": session})
    head = await client.head()
    assert head.headers["content-type"] == "text/event-stream"
    events = [event async for event in client.events()]
    assert sorted(str(event["id"]) for event in events if "result" in event) == ["1", "2", "s"]
    assert len([event for event in events if event.get("method") == "notifications/progress"]) == 2
    reply = await client.call([add(raw, 7)], headers={"mcp-session-id": session})
    assert reply.json[0]["id"] == 7, "the connection goes on"


@pytest.mark.behaviour("batch.bad-member", transport="http", era="handshake")
async def test_a_bad_message_in_a_batch_is_answered_in_its_place(serve, raw):
    served = await serve()
    session = await served.initialize(VERSION)
    batch = [5, {"jsonrpc": "1.0", "id": 8, "method": "ping"}, raw.handshake("initialize", 9), add(raw, 1)]
    reply = await post(served, session, batch)
    codes = {each["id"]: each.get("error", {}).get("code") for each in reply.json}
    assert codes == {None: -32600, 8: -32600, 9: -32600, 1: None}


@pytest.mark.behaviour("limits.batch-size", transport="http", era="handshake")
@pytest.mark.parametrize(("count", "status"), [(0, 400), (1, 200), (MAX_BATCH, 200), (MAX_BATCH + 1, 400)])
async def test_a_batch_has_at_least_one_message_and_at_most_so_many(serve, raw, count, status):
    served = await serve()
    session = await served.initialize(VERSION)
    reply = await post(served, session, [raw.handshake("ping", number) for number in range(count)])
    assert reply.status == status
    if status == 200:
        assert len(reply.json) == count


@pytest.mark.behaviour("batch.one-revision-only", transport="http", era="handshake")
@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_sessions_of_other_revisions_have_no_batches(serve, raw, version):
    served = await serve()
    session = await served.initialize(version)
    reply = await post(served, session, [raw.handshake("ping")], version)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32600)
    assert "batches" in reply.json["error"]["message"]


@pytest.mark.behaviour("batch.never-modern", transport="http", era="modern")
async def test_without_a_session_or_under_a_modern_header_there_are_no_batches(serve, raw):
    served = await serve()
    client = await served.connect()
    session = await served.initialize(VERSION)
    for headers in ({}, {"mcp-session-id": session, "mcp-protocol-version": "2026-07-28"}):
        reply = await client.call([raw.handshake("ping")], headers=headers)
        assert (reply.status, reply.json["error"]["code"]) == (400, -32600)
    reply = await client.call([raw.handshake("ping")], headers={"mcp-session-id": "invented"})
    assert reply.status == 404


@pytest.mark.parametrize("body", [b"[", b" \n[1,", b"[" * 100, b"[]]"])
async def test_a_broken_batch_is_a_parse_error(serve, raw, body):
    served = await serve()
    session = await served.initialize(VERSION)
    reply = await post(served, session, body)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32700)


@pytest.mark.behaviour("limits.batch-rate", transport="http", era="handshake")
async def test_each_message_of_a_batch_counts_against_the_rate(serve, raw):
    served = await serve(limits={"requests_per_s": 0.001, "burst": 5})
    session = await served.initialize(VERSION)
    reply = await post(served, session, [raw.handshake("ping", number) for number in range(5)])
    assert (reply.status, served.rejected("rate")) == (429, 1)
    served = await serve(limits={"requests_per_s": 0.001, "burst": 6})
    session = await served.initialize(VERSION)
    reply = await post(served, session, [raw.handshake("ping", number) for number in range(5)])
    assert reply.status == 200


@pytest.mark.behaviour("disconnect.batch-goes-on", transport="http", era="handshake")
async def test_a_call_in_a_batch_outlives_its_client_and_can_be_cancelled(serve, raw):
    served = await serve()
    session = await served.initialize(VERSION)
    client = await served.connect()
    waiting = raw.handshake("tools/call", "w", name="wait")
    await client.post([waiting, raw.handshake("ping", "p")], headers={"mcp-session-id": session})
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "w"}}
    assert (await post(served, session, [note])).status == 202
    reply = await client.reply()
    assert {each["id"]: each.get("error", {}).get("code") for each in json.loads(reply.body)} == {
        "w": -32800,
        "p": None,
    }
    served.workshop.started.clear()
    await client.post([waiting], headers={"mcp-session-id": session})
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    client.close()
    served.workshop.release.set()
    await raw.until(lambda: served.runtime.counts().in_flight == 0)
    assert "waited" in served.workshop.log
