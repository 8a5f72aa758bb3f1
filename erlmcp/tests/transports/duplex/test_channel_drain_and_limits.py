"""How channels end in good order, and what they do to clients that ask for too much."""

import asyncio
import json

import pytest

from erlmcp.transports import making_room

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

LISTEN = "subscriptions/listen"


def codes(messages):
    return [each["error"]["code"] for each in messages if "error" in each]


# -- drain --


@pytest.mark.behaviour("drain.listen-gets-its-result")
async def test_at_a_drain_subscriptions_end_with_their_result_and_the_channel_closes(
    connect, raw, modern_transport
):
    client = await connect(modern_transport)
    await client.send(raw.modern(LISTEN, 7, notifications={"toolsListChanged": True}))
    await client.receive()
    client.served.runtime.begin_drain()
    cancelled, result = await client.rest()
    assert (cancelled["method"], cancelled["params"]["requestId"]) == ("notifications/cancelled", 7)
    assert result["id"] == 7
    assert result["result"]["resultType"] == "complete"
    assert result["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == 7


@pytest.mark.behaviour("drain.running-call-is-answered")
async def test_at_a_drain_a_running_call_is_answered_first(raw, dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await asyncio.wait_for(client.served.workshop.started.wait(), 10)
    client.served.runtime.begin_drain()
    assert (await client.call(dialect.light(2)))["result"], "while it waits it serves on"
    client.served.workshop.release.set()
    assert [each["id"] for each in await client.rest()] == [1]
    await raw.until(lambda: len(client.served.runtime.channels) == 0)


@pytest.mark.behaviour("drain.newcomer-is-served", era="handshake")
async def test_a_client_that_has_only_just_come_is_served_before_it_is_left(connect, raw, transport):
    client = await connect(transport)
    await raw.until(lambda: len(client.served.runtime.channels) == 1)
    client.served.runtime.begin_drain()
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    assert await client.rest() == []


@pytest.mark.behaviour("drain.idle-client-is-left")
async def test_an_idle_client_is_left_at_a_drain_and_after_resume_one_can_come_again(dialect):
    client = await dialect.open()
    assert (await client.call(dialect.light(1)))["result"]
    client.served.runtime.begin_drain()
    assert await client.rest() == []
    client.served.runtime.resume()
    again = await dialect.open(client.served)
    assert (await again.call(dialect.light(1)))["result"]
    assert (await again.call(dialect.light(2)))["result"]


@pytest.mark.behaviour("stop.what-runs-is-answered")
async def test_the_end_of_the_worker_ends_channels_with_an_answer_to_what_still_ran(dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await asyncio.wait_for(client.served.workshop.started.wait(), 10)
    closing = asyncio.create_task(client.served.runtime.close())
    assert codes(await client.rest()) == [-32603]
    await client.close()
    await asyncio.wait_for(closing, 10)


# -- limits --


@pytest.mark.behaviour("limits.message-size")
async def test_a_message_of_exactly_the_limit_is_read_and_one_byte_more_ends_the_channel(serve, dialect):
    limit = 4096
    client = await dialect.open(await serve(http={"max_body_bytes": limit}))
    message = json.dumps(dialect.light(1)).encode()
    padded = message[:-1] + b" " * (limit - len(message)) + b"}"
    assert (await client.call(padded))["result"]
    if dialect.transport == "sse":
        assert await client.post_status(padded + b" ") == 413
        return
    await client.send(padded[:-1] + b" }")
    answers = await client.rest()
    assert codes(answers) == ([] if dialect.transport == "websocket" else [-32600])


@pytest.mark.behaviour("limits.in-flight")
async def test_too_many_requests_in_flight_are_refused_and_the_channel_goes_on(serve, dialect):
    client = await dialect.open(await serve(limits={"max_in_flight": 1}))
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await asyncio.wait_for(client.served.workshop.started.wait(), 10)
    assert codes([await client.call(dialect.light(2))]) == [-31503]
    client.served.workshop.release.set()
    assert (await client.receive())["id"] == 1
    assert (await client.call(dialect.light(3)))["result"]


@pytest.mark.behaviour("limits.in-flight-per-client")
async def test_too_many_requests_of_a_client_are_refused_and_the_channel_goes_on(serve, dialect):
    limits = {"max_in_flight_per_client": 1, "loopback": True}
    client = await dialect.open(await serve(limits=limits))
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await asyncio.wait_for(client.served.workshop.started.wait(), 10)
    assert codes([await client.call(dialect.light(2))]) == [-31429]
    client.served.workshop.release.set()
    assert (await client.receive())["id"] == 1
    assert (await client.call(dialect.light(3)))["result"]


@pytest.mark.behaviour("limits.rate")
async def test_too_many_requests_in_a_second_are_refused(serve, dialect):
    client = await dialect.open(await serve(limits={"requests_per_s": 0.01, "burst": 3}))
    answers = [await client.call(dialect.light(number)) for number in range(3)]
    refused = next(
        each for each in answers if "error" in each
    )  # the first request took one, if it was counted
    assert "result" in answers[0]
    assert refused["error"]["code"] == -31429
    assert refused["error"]["data"]["retryAfterS"] >= 1


@pytest.mark.behaviour("timeouts.request")
async def test_a_request_that_takes_too_long_is_answered_with_the_reason(serve, dialect):
    client = await dialect.open(await serve(mcp={"request_timeout_s": 0.3}))
    assert codes([await client.call(dialect.message("tools/call", 1, name="wait", arguments={}))]) == [-31504]
    await asyncio.wait_for(client.served.workshop.cancelled.wait(), 10)


@pytest.mark.behaviour("limits.streams")
async def test_more_subscriptions_than_allowed_are_refused(connect, serve, raw, modern_transport):
    client = await connect(modern_transport, await serve(mcp={"max_streams": 1}))
    await client.send(raw.modern(LISTEN, 1, notifications={"toolsListChanged": True}))
    await client.receive()
    assert codes([await client.call(raw.modern(LISTEN, 2, notifications={}))]) == [-31430]


@pytest.mark.behaviour("limits.connections", transport="tcp", era="any")
async def test_more_connections_than_allowed_are_closed_at_once(connect, serve, raw):
    served = await serve(http={"max_connections": 1})
    first = await connect("tcp", served)
    assert (await first.call(raw.handshake("ping", 1)))["result"] == {}
    second = await connect("tcp", served)
    assert await second.rest() == []
    assert served.rejected("connections") == 1
    assert (await first.call(raw.handshake("ping", 2)))["result"] == {}


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.parametrize("newcomers", ["tcp", "websocket"])
@pytest.mark.behaviour("limits.room", era="any")
async def test_a_connection_that_never_asked_makes_room_and_one_that_asked_never_does(
    connect, serve, raw, monkeypatch, transport, newcomers
):
    for name in ("QUIET_S", "LOOK_EVERY_S"):
        monkeypatch.setattr(making_room, name, 0.0)
    served = await serve(http={"max_connections": 2})
    asked, silent = await connect(transport, served), await connect(transport, served)
    assert (await asked.call(raw.handshake("ping", 1)))["result"] == {}
    newcomer = await connect(newcomers, served)
    assert (await newcomer.call(raw.handshake("ping", 1)))["result"] == {}
    assert await silent.rest() == []
    assert await (await connect("tcp", served)).rest() == []
    assert (served.rejected("made-room"), served.rejected("connections")) == (1, 1)
    assert (await asked.call(raw.handshake("ping", 2)))["result"] == {}
    assert len(served.runtime.channels) == 2


@pytest.mark.parametrize("transport", ["tcp", "websocket"])
@pytest.mark.behaviour("limits.connections-per-address", era="any")
async def test_an_address_with_too_many_channels_gets_no_other_until_one_is_closed(
    connect, serve, raw, transport
):
    served = await serve(http={"max_connections_per_address": 1}, limits={"loopback": True})
    counted = served.runtime.counts
    first = await connect(transport, served)
    assert (await first.call(raw.handshake("ping", 1)))["result"] == {}
    assert await (await connect("tcp", served)).rest() == []
    assert await (await served.connect()).rest() == b"", "all transports are counted together"
    assert served.rejected("connections-per-address") == 2
    await first.close()
    await raw.until(lambda: counted().connections == 0)
    second = await connect(transport, served)
    assert (await second.call(raw.handshake("ping", 2)))["result"] == {}


@pytest.mark.behaviour("timeouts.silent-connection", transport="tcp", era="any")
async def test_a_connection_that_asks_nothing_is_closed_and_one_that_asked_may_be_quiet(connect, serve, raw):
    served = await serve(http={"keep_alive_timeout_s": 0.5})
    quiet, silent = await connect("tcp", served), await connect("tcp", served)
    assert (await quiet.call(raw.handshake("ping", 1)))["result"] == {}
    assert await silent.rest() == []
    assert served.rejected("silent") == 1
    assert (await quiet.call(raw.handshake("ping", 2)))["result"] == {}


@pytest.mark.behaviour("timeouts.slow-line", transport="tcp", era="any")
async def test_a_line_that_trickles_in_is_given_up(connect, serve, raw):
    client = await connect("tcp", await serve(http={"body_timeout_s": 0.3}))
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    client.writer.write(b'{"jsonrpc"')
    answers = await client.rest()
    assert codes(answers) == [-32600]


@pytest.mark.behaviour("backpressure.reads-nothing-is-cut", transport="tcp", era="modern")
async def test_a_client_that_reads_nothing_is_cut_with_its_cause_and_slows_nobody(connect, serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 65536, "keep_alive_timeout_s": 1.0})
    slow, quick = await connect("tcp", served), await connect("tcp", served)
    slow.writer.transport.pause_reading()
    big = raw.modern(
        "tools/call", 1, name="steps", arguments={"count": 400, "size": 65000}, _meta={"progressToken": 1}
    )
    await slow.send(big)
    await raw.until(lambda: served.runtime.counts().in_flight == 1)
    for number in range(20):
        assert "result" in await quick.call(raw.modern("tools/list", number))
    await raw.until(lambda: served.rejected("slow-reader") == 1)
    await raw.until(lambda: served.runtime.counts().in_flight == 0)
    assert "result" in await quick.call(raw.modern("tools/list", 99))


@pytest.mark.behaviour("backpressure.reads-late-gets-all", transport="tcp", era="modern")
async def test_a_client_that_reads_late_gets_every_answer(connect, serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 65536})
    client = await connect("tcp", served)
    client.writer.transport.set_write_buffer_limits(high=64 * 1024 * 1024)
    client.reader._transport.pause_reading()
    for number in range(200):
        await client.send(raw.modern("no/such" + "x" * 60_000, number))
    await raw.until(lambda: served.outcomes("other").get("client_error", 0) > 0)
    client.reader._transport.resume_reading()
    got = {(await client.receive())["id"] for _ in range(200)}
    assert got == set(range(200))


async def test_a_page_cannot_make_a_browser_call_tools_over_tcp(connect, raw):
    """Pages may send any text to any port of this machine, behind a first line of HTTP."""
    client = await connect("tcp")
    call = json.dumps(raw.modern("tools/call", 1, name="add", arguments={"a": 1, "b": 2})).encode()
    await client.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n" + call)
    (answer,) = await client.rest()
    assert (answer["error"]["code"], "HTTP" in answer["error"]["message"]) == (-32600, True)
    assert client.served.outcomes("tools/call") == {}
    assert client.served.rejected("malformed") == 1


async def test_a_line_that_only_speaks_of_http_is_no_browser(connect, raw):
    client = await connect("tcp")
    ping = {"jsonrpc": "2.0", "method": "ping", "id": "HTTP/1.1"}
    assert (await client.call(ping))["id"] == "HTTP/1.1"


@pytest.mark.behaviour("disconnect.half-closed-is-answered", transport="tcp", era="modern")
async def test_what_was_asked_before_the_client_closed_its_half_is_answered(connect, raw, caplog):
    client = await connect("tcp")
    if client.served.tls:  # has no half to close: a goodbye ends both directions
        client.writer.close()
        await raw.until(lambda: client.served.runtime.counts().connections == 0)
        assert "no effect" not in caplog.text
        return
    await client.send(raw.modern("tools/call", 1, name="add", arguments={"a": 1, "b": 2}))
    client.writer.write_eof()
    (answer,) = await client.rest()
    assert answer["result"]["structuredContent"] == {"result": 3}
