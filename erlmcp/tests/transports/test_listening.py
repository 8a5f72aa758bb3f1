"""Listen streams of the modern era: what they carry, how they end, and what a drain does to them."""

import pytest

from erlmcp.sessions.bus import BUS_GAP, BusEvent, LocalBus

pytestmark = pytest.mark.anyio


async def listen(served, raw, request_id=11, **wanted):
    client = await served.connect()
    message = raw.modern("subscriptions/listen", request_id, notifications=wanted)
    await client.post(message, headers=raw.modern_headers(message))
    return client, await client.head()


@pytest.mark.behaviour("listen.only-what-was-asked", transport="http", era="modern")
async def test_a_listener_hears_its_changes_and_no_others(serve, raw):
    served = await serve()
    client, head = await listen(served, raw, "sub", resourceSubscriptions=["note://one"])
    events = client.events()
    acknowledged = await anext(events)
    assert head.headers["content-type"] == "text/event-stream"
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {"resourceSubscriptions": ["note://one"]}
    assert served.runtime.counts().streams == 1
    assert served.runtime.counts().in_flight == 0
    await served.modern_call("tools/call", name="change", arguments={"uri": "note://two"})
    await served.modern_call("tools/call", name="change", arguments={"uri": "note://one"})
    event = await anext(events)
    assert event["method"] == "notifications/resources/updated"
    assert event["params"]["uri"] == "note://one"
    assert event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "sub"
    client.close()
    await raw.until(lambda: served.runtime.counts().streams == 0)


async def test_when_changes_may_have_been_missed_a_listener_is_told_of_all_that_it_wants(serve, raw):
    bus = LocalBus()
    served = await serve(bus=bus)
    wants = {"resourceSubscriptions": ["note://one", "note://two"], "toolsListChanged": True}
    first, _ = await listen(served, raw, "a", **wants)
    other, _ = await listen(served, raw, "b", resourceSubscriptions=["note://three"])
    streams = first.events(), other.events()
    for events in streams:
        await anext(events)
    bus.publish(BusEvent(BUS_GAP))
    told = [(await anext(streams[0])) for _ in range(3)]
    assert sorted((each["method"], each["params"].get("uri", "")) for each in told) == [
        ("notifications/resources/updated", "note://one"),
        ("notifications/resources/updated", "note://two"),
        ("notifications/tools/list_changed", ""),
    ]
    assert (await anext(streams[1]))["params"]["uri"] == "note://three"


@pytest.mark.behaviour("limits.streams", transport="http", era="modern")
async def test_one_stream_too_many_is_refused_before_it_begins(serve, raw):
    served = await serve(mcp={"max_streams": 1})
    first, _ = await listen(served, raw, toolsListChanged=True)
    _, head = await listen(served, raw, toolsListChanged=True)
    assert head.status == 429
    first.close()
    await raw.until(lambda: served.runtime.counts().streams == 0)
    _, head = await listen(served, raw, toolsListChanged=True)
    assert head.status == 200


@pytest.mark.behaviour("drain.listen-gets-its-result", transport="http", era="modern")
async def test_a_drain_ends_a_listener_with_the_result_it_is_owed(serve, raw):
    served = await serve()
    client, _ = await listen(served, raw, 11, toolsListChanged=True)
    events = client.events()
    await anext(events)
    served.runtime.begin_drain()
    last = [event async for event in events]
    assert [event["id"] for event in last] == [11]
    assert last[0]["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 11
    assert served.runtime.counts().streams == 0
    await client.post(raw.modern("tools/list"), headers=raw.modern_headers(raw.modern("tools/list")))
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "close"), "kept open until its next request"
    assert await client.rest() == b""


@pytest.mark.behaviour("drain.late-listener", transport="http", era="modern")
async def test_a_listener_that_comes_to_a_draining_worker_is_acknowledged_and_ended(serve, raw):
    served = await serve()
    idle = await served.connect()
    message = raw.modern("subscriptions/listen", 3, notifications={"toolsListChanged": True})
    served.runtime.begin_drain()
    await idle.post(message, headers=raw.modern_headers(message))
    head = await idle.head()
    events = [event async for event in idle.events()]
    assert head.headers["connection"] == "close"
    assert [event.get("id", event.get("method")) for event in events] == [
        "notifications/subscriptions/acknowledged",
        3,
    ]


async def test_a_resumed_worker_serves_listeners_again(serve, raw):
    served = await serve()
    served.runtime.begin_drain()
    served.runtime.resume()
    client, head = await listen(served, raw, toolsListChanged=True)
    assert "connection" not in head.headers
    events = client.events()
    await anext(events)
    await served.modern_call("tools/call", name="change", arguments={"uri": "note://one"})
    assert (await anext(events))["method"] == "notifications/tools/list_changed"


async def test_a_guest_with_its_own_listen_function_is_drained_too(serve, raw):
    served = await serve("plain.py:make_listening")
    client, _ = await listen(served, raw, 8, toolsListChanged=True)
    events = client.events()
    await anext(events)
    served.runtime.begin_drain()
    assert [event["id"] for event in [event async for event in events]] == [8]


@pytest.mark.behaviour("listen.not-offered", transport="http", era="modern")
async def test_a_guest_without_listen_says_so_with_404(serve, raw):
    served = await serve("plain.py:server")
    _, head = await listen(served, raw, toolsListChanged=True)
    assert head.status == 404


@pytest.mark.behaviour("backpressure.listen-overflow", transport="http", era="modern")
async def test_a_listener_that_does_not_read_is_ended_and_the_others_hear_everything(serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 65_536, "keep_alive_timeout_s": 1.0})
    uri = "note://" + "x" * 2_000
    slow, _ = await listen(served, raw, "slow", resourceSubscriptions=[uri])
    slow.writer.transport.pause_reading()
    reading, _ = await listen(served, raw, "reading", resourceSubscriptions=[uri])
    events = reading.events()
    await anext(events)
    await raw.until(lambda: served.runtime.counts().streams == 2)
    caller, message = await served.connect(), raw.modern("tools/call", name="change", arguments={"uri": uri})
    changes = 0
    while served.runtime.counts().streams == 2:
        assert (await caller.call(message, headers=raw.modern_headers(message))).status == 200
        assert (await anext(events))["params"]["uri"] == uri
        changes += 1
        assert changes < 20_000, "the slow listener was never ended"
    assert served.rejected("slow-reader") == 1
    await caller.call(message, headers=raw.modern_headers(message))
    assert (await anext(events))["params"]["uri"] == uri
