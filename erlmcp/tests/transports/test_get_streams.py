"""The GET streams of handshake sessions over HTTP, byte by byte, on one worker and on two."""

import asyncio

import pytest

from erlmcp.sessions.bus import LocalBus

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")


@pytest.mark.behaviour("streams.one-get-stream", transport="http", era="handshake")
@pytest.mark.filterwarnings("ignore:The logging capability is deprecated")
async def test_a_session_has_one_get_stream_and_it_carries_what_is_said_in_the_session(serve, raw):
    bus = LocalBus()
    first, second = await serve("talkative.py:server", bus=bus), await serve("talkative.py:server", bus=bus)
    session, other = await first.initialize(), await first.initialize()
    client, head = await first.get_stream(session)
    other_client, _ = await first.get_stream(other)
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
    assert first.runtime.counts().streams == 2
    _, refused = await first.get_stream(session)
    assert refused.status == 409
    await second.session_call(session, raw.handshake("tools/call", name="say", arguments={"text": "hello"}))
    events = client.events()
    said = await anext(events)
    assert (said["method"], said["params"]["data"]) == ("notifications/message", "hello")
    await second.session_call(other, raw.handshake("tools/call", name="say", arguments={"text": "other"}))
    assert (await anext(other_client.events()))["params"]["data"] == "other"
    client.close()
    await raw.until(lambda: first.runtime.counts().streams == 1)
    _, head = await first.get_stream(session)
    assert head.status == 200


@pytest.mark.behaviour("asking.outside-a-call", transport="http", era="handshake")
@pytest.mark.filterwarnings("ignore:The roots capability is deprecated")
async def test_a_question_outside_any_call_travels_on_the_get_stream(serve, raw):
    bus = LocalBus()
    first, second = await serve("talkative.py:server", bus=bus), await serve("talkative.py:server", bus=bus)
    session = await first.initialize(capabilities={"roots": {}})
    stream, _ = await second.get_stream(session)
    caller = await first.connect()
    await caller.post(raw.handshake("tools/call", name="count_roots"), headers={"mcp-session-id": session})
    question = await anext(stream.events())
    assert question["method"] == "roots/list"
    roots = {"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]}
    await second.session_call(session, {"jsonrpc": "2.0", "id": question["id"], "result": roots})
    assert (await caller.reply()).json["result"]["content"][0]["text"] == "2"


@pytest.mark.behaviour("timeouts.question", transport="http", era="handshake")
@pytest.mark.filterwarnings("ignore:The roots capability is deprecated")
async def test_a_question_that_nobody_answers_ends_with_its_time(serve, raw):
    served = await serve("talkative.py:server", mcp={"request_timeout_s": 0.2})
    session = await served.initialize(capabilities={"roots": {}})
    reply = await served.session_call(session, raw.handshake("tools/call", name="count_roots"))
    assert (reply.status, reply.json["error"]["code"]) == (504, -31504)


@pytest.mark.behaviour("workers.get-stream-moves", transport="http", era="handshake")
async def test_a_get_stream_that_moves_to_another_worker_ends_at_the_first(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    session = await first.initialize()
    client, _ = await first.get_stream(session)
    await second.get_stream(session)
    assert [event async for event in client.events()] == []
    assert (first.runtime.counts().streams, second.runtime.counts().streams) == (0, 1)


@pytest.mark.behaviour("workers.change-everywhere", transport="http", era="handshake")
async def test_a_change_is_heard_on_the_get_streams_of_every_worker(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    session = await first.initialize()
    client, _ = await second.get_stream(session)
    await first.session_call(
        session, raw.handshake("tools/call", name="change", arguments={"uri": "note://one"})
    )
    assert (await anext(client.events()))["method"] == "notifications/tools/list_changed"


@pytest.mark.behaviour("backpressure.get-stream", transport="http", era="handshake")
@pytest.mark.filterwarnings("ignore:The logging capability is deprecated")
async def test_a_get_stream_that_is_not_read_is_cut_and_the_others_hear_everything(serve, raw):
    bus = LocalBus()
    served = await serve("talkative.py:server", bus=bus, http={"max_stream_buffer_bytes": 65_536})
    sessions = [await served.initialize(), await served.initialize()]
    slow, _ = await served.get_stream(sessions[0])
    reading, _ = await served.get_stream(sessions[1])
    slow.writer.transport.pause_reading()
    events, heard = reading.events(), 0
    while served.rejected("slow-reader") == 0:
        for session in sessions:
            say = raw.handshake("tools/call", name="say", arguments={"text": "x" * 500_000})
            await served.session_call(session, say)
        await anext(events)
        heard += 1
        assert heard < 100, "the slow reader was never cut"
    assert served.runtime.counts().streams == 1
    await served.session_call(sessions[1], raw.handshake("tools/call", name="say", arguments={"text": "on"}))
    assert (await anext(events))["params"]["data"] == "on"


@pytest.mark.behaviour("streams.get-needs-a-session", transport="http", era="handshake")
async def test_a_get_needs_a_session_and_an_accept_of_events(serve, raw):
    served = await serve()
    client = await served.connect()
    await client.send(b"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/html\r\n\r\n")
    assert (await client.reply()).status == 406
    await client.send(b"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    assert (await client.reply()).status == 400
    _, head = await served.get_stream("invented")
    assert head.status == 404


@pytest.mark.behaviour("drain.get-streams-end", transport="http", era="handshake")
async def test_a_drain_ends_get_streams_and_sessions_go_on_elsewhere(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    session = await first.initialize()
    client, _ = await first.get_stream(session)
    running = await first.connect()
    await running.post(raw.handshake("tools/call", name="wait"), headers={"mcp-session-id": session})
    await asyncio.wait_for(first.workshop.started.wait(), 5)
    first.runtime.begin_drain()
    assert [event async for event in client.events()] == []
    assert first.runtime.counts().streams == 0
    assert (await second.session_call(session, raw.handshake("tools/list"))).status == 200
    first.workshop.release.set()
    reply = await running.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
