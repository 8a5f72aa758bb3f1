"""Every bound of the HTTP transport, at its edge, seen from a raw socket."""

import asyncio
import logging

import pytest

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

PLAIN = b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def head_of(size: int) -> bytes:
    start, end = b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Fill: ", b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.behaviour("limits.head-size", transport="http", era="any")
async def test_a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_431(serve):
    served = await serve(http={"max_header_bytes": 1000})
    client = await served.connect()
    await client.send(head_of(1000))
    assert (await client.reply()).status == 404
    await client.send(head_of(1001))
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (431, "close")
    assert await client.rest() == b""


@pytest.mark.behaviour("limits.endless-head", transport="http", era="any")
async def test_a_head_that_never_ends_is_cut_although_no_field_of_it_is_complete(serve):
    served = await serve(http={"max_header_bytes": 1000})
    client = await served.connect()
    await client.send(b"GET /nowhere HTTP/1.1\r\nX-Endless: ")
    for _ in range(16):
        await client.send(b"x" * 250)
    assert (await client.reply()).status == 431


async def test_a_head_in_many_small_pieces_is_not_counted_twice(serve):
    served = await serve(http={"max_header_bytes": 1000, "header_timeout_s": 10})
    client = await served.connect()
    for start in range(0, 1000, 50):
        await client.send(head_of(1000)[start : start + 50])
        await asyncio.sleep(0)
    assert (await client.reply()).status == 404


@pytest.mark.behaviour("limits.header-count", transport="http", era="any")
async def test_one_header_field_too_many_is_431(serve):
    served = await serve(http={"max_headers": 5})
    client = await served.connect()
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(4))
    await client.send(b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n")
    assert (await client.reply()).status == 404
    await client.send(b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nX-5: y\r\n" + fields + b"\r\n")
    assert (await client.reply()).status == 431


@pytest.mark.behaviour("limits.body-size", transport="http", era="any")
async def test_a_body_of_exactly_the_limit_is_read_and_one_byte_more_is_413_before_it_is_sent(serve, raw):
    served = await serve(http={"max_body_bytes": 500})
    client = await served.connect()
    assert (await client.call(b"x" * 500)).status == 400
    await client.send(raw.post_bytes(b"x" * 501)[:-501])
    assert (await client.reply()).status == 413
    assert served.rejected("http-413") == 1


@pytest.mark.behaviour("limits.chunked-body", transport="http", era="any")
async def test_a_chunked_body_is_counted_as_it_comes(serve):
    served = await serve(http={"max_body_bytes": 500})
    head = (
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Accept: application/json, text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    client = await served.connect()
    await client.send(head + b"1f4\r\n" + b"x" * 500 + b"\r\n0\r\n\r\n")
    assert (await client.reply()).status == 400
    await client.send(head + b"1f5\r\n" + b"x" * 501)
    assert (await client.reply()).status == 413


@pytest.mark.behaviour("timeouts.head", transport="http", era="any")
async def test_a_head_that_drips_is_408_after_the_header_timeout(serve):
    served = await serve(http={"header_timeout_s": 0.2})
    client = await served.connect()
    await client.send(b"GET /nowhere HTTP/1.1\r\n")
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert await client.rest() == b""


@pytest.mark.behaviour("timeouts.body", transport="http", era="any")
async def test_a_body_that_drips_is_408_after_the_body_timeout(serve, raw):
    served = await serve(http={"body_timeout_s": 0.2})
    client = await served.connect()
    await client.send(raw.post_bytes(b"x" * 100)[:-50])
    assert (await client.reply()).status == 408


@pytest.mark.behaviour("timeouts.idle-connection", transport="http", era="any")
async def test_an_idle_connection_is_closed_without_a_word(serve):
    served = await serve(http={"keep_alive_timeout_s": 0.2, "header_timeout_s": 0.2})
    fresh, used = await served.connect(), await served.connect()
    await used.send(PLAIN)
    assert (await used.reply()).status == 404
    assert await fresh.rest() == b""
    assert await used.rest() == b""


@pytest.mark.behaviour("timeouts.running-is-not-idle", transport="http", era="any")
async def test_a_running_call_is_not_idle(serve, raw):
    served = await serve(http={"keep_alive_timeout_s": 0.1, "header_timeout_s": 0.1, "body_timeout_s": 0.1})
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    workshop = served.workshop
    await asyncio.wait_for(workshop.started.wait(), 5)
    await asyncio.sleep(0.3)  # longer than every timeout of the connection: that is the claim
    workshop.release.set()
    assert (await client.reply()).json["result"]["content"][0]["text"] == "released"


@pytest.mark.behaviour("limits.connections", transport="http", era="any")
async def test_one_connection_too_many_is_closed_and_a_freed_place_is_given_again(serve, raw):
    served = await serve(http={"max_connections": 2})
    first, second = await served.connect(), await served.connect()
    message = raw.modern("tools/call", name="wait")
    for client in (first, second):
        await client.post(message, headers=raw.modern_headers(message))
    await raw.until(lambda: served.runtime.counts().in_flight == 2)
    third = await served.connect()
    assert await third.rest() == b""
    assert served.rejected("connections") == 1
    first.close()
    await raw.until(lambda: served.runtime.counts().connections == 1)
    fourth = await served.connect()
    await fourth.send(PLAIN)
    assert (await fourth.reply()).status == 404


@pytest.mark.behaviour("limits.connections-per-address", transport="http", era="any")
async def test_an_address_with_too_many_connections_gets_no_other_until_one_is_closed(serve, raw):
    served = await serve(http={"max_connections_per_address": 2}, limits={"loopback": True})
    first, second = await served.connect(), await served.connect()
    for client in (first, second):
        await client.send(PLAIN)
        assert (await client.reply()).status == 404
    assert await (await served.connect()).rest() == b""
    assert served.rejected("connections-per-address") == 1
    first.close()
    await raw.until(lambda: served.runtime.counts().connections == 1)
    third = await served.connect()
    await third.send(PLAIN)
    assert (await third.reply()).status == 404


@pytest.mark.behaviour("http.pipelining", transport="http", era="any")
@pytest.mark.parametrize("depth", [1, 5, 200])
async def test_pipelined_requests_are_answered_in_their_order(serve, raw, depth):
    served = await serve(http={"max_pipelined": 4})
    client = await served.connect()
    messages = [
        raw.modern("tools/call", number, name="add", arguments={"a": number, "b": 1})
        for number in range(depth)
    ]
    await client.send(b"".join(raw.post_bytes(m, headers=raw.modern_headers(m)) for m in messages))
    answers = [(await client.reply()).json for _ in range(depth)]
    assert [answer["id"] for answer in answers] == list(range(depth))
    assert [answer["result"]["structuredContent"]["result"] for answer in answers] == [
        number + 1 for number in range(depth)
    ]


async def send_until_it_blocks(client, data) -> int:
    """How often the data could be sent; what is in the buffers of the kernel counts too."""
    sent = 0
    while sent < 2000:
        try:
            async with asyncio.timeout(0.3):
                sent += 1
                await client.send(data)
        except TimeoutError:
            return sent
    raise AssertionError("reading never paused")


@pytest.mark.behaviour("backpressure.pipelined-requests", transport="http", era="any")
async def test_reading_pauses_when_too_many_requests_wait(serve, raw):
    served = await serve(http={"max_pipelined": 2})
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    workshop = served.workshop
    await asyncio.wait_for(workshop.started.wait(), 5)
    pieces = await send_until_it_blocks(client, head_of(8000) * 10)
    workshop.release.set()
    assert (await client.reply()).status == 200
    for _ in range(pieces * 10):
        assert (await client.reply()).status == 404


@pytest.mark.behaviour("http.version-1-0", transport="http", era="any")
async def test_http_1_0_is_answered_and_closed_unless_it_asks_to_stay(serve, raw):
    served = await serve()
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 1})
    client = await served.connect()
    await client.post(
        message, headers={**raw.modern_headers(message), "connection": "keep-alive"}, version="1.0"
    )
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (200, "keep-alive")
    await client.post(message, headers=raw.modern_headers(message), version="1.0")
    assert (await client.reply()).headers["connection"] == "close"
    assert await client.rest() == b""


async def test_a_stream_for_http_1_0_ends_with_the_connection(serve, raw):
    served = await serve()
    message = raw.modern(
        "tools/call", name="steps", arguments={"count": 2, "size": 1}, _meta={"progressToken": 7}
    )
    client = await served.connect()
    await client.post(message, headers=raw.modern_headers(message), version="1.0")
    reply = await client.reply()
    assert "transfer-encoding" not in reply.headers
    assert reply.body.count(b"event: message") == 3


@pytest.mark.behaviour("http.expect-continue", transport="http", era="any")
async def test_a_client_that_waits_for_100_continue_gets_it(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/list")
    data = raw.post_bytes(message, headers={**raw.modern_headers(message), "expect": "100-continue"})
    head, _, body = data.partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert (await client.head()).status == 100
    await client.send(body)
    assert (await client.reply()).status == 200


@pytest.mark.behaviour("http.expect-refused", transport="http", era="any")
async def test_a_body_that_will_be_refused_is_not_asked_for(serve, raw):
    served = await serve(http={"max_body_bytes": 10})
    client = await served.connect()
    await client.send(raw.post_bytes(b"x" * 11, headers={"expect": "100-continue"})[:-11])
    assert (await client.head()).status == 413


@pytest.mark.behaviour("http.malformed", transport="http", era="any")
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /mcp HTTP/1.1\nHost: a\n\n", 400),
        (b"POST /mcp HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /mcp HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /mcp HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        (b"POST /mcp HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_what_is_not_a_request_is_told_so_and_the_connection_ends(serve, request_bytes, status):
    served = await serve()
    client = await served.connect()
    await client.send(request_bytes)
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (status, "close")
    assert await client.rest() == b""


async def test_an_upgrade_is_answered_without_upgrading(serve):
    served = await serve()
    client = await served.connect()
    await client.send(
        b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (404, "close")


@pytest.mark.behaviour("http.head-method", transport="http", era="any")
async def test_head_has_the_fields_and_no_body(serve):
    served = await serve()
    client = await served.connect()
    await client.send(b"HEAD /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + PLAIN)
    reply = await client.reply(to_head=True)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST, DELETE, OPTIONS")
    assert (await client.reply()).status == 404


@pytest.mark.behaviour("backpressure.reads-nothing-is-cut", transport="http", era="modern")
async def test_a_reader_that_stops_reading_is_cut_with_a_logged_cause_and_slows_nobody(serve, raw, caplog):
    served = await serve(http={"max_stream_buffer_bytes": 65_536, "keep_alive_timeout_s": 0.5})
    caplog.set_level(logging.WARNING)
    slow = await served.connect()
    slow.writer.transport.pause_reading()
    arguments = {"count": 100_000, "size": 10_000}
    message = raw.modern("tools/call", name="steps", arguments=arguments, _meta={"progressToken": 1})
    await slow.post(message, headers=raw.modern_headers(message))
    await raw.until(lambda: served.runtime.counts().in_flight == 1)
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 2})
    assert reply.json["result"]["structuredContent"] == {"result": 3}
    await raw.until(lambda: served.rejected("slow-reader") == 1, "the slow reader was cut")
    await raw.until(lambda: served.runtime.counts().in_flight == 0)
    assert "slow-reader" in caplog.text


@pytest.mark.behaviour("backpressure.keeps-reading", transport="http", era="modern")
async def test_a_reader_that_keeps_reading_gets_much_more_than_the_buffer(serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 65_536, "keep_alive_timeout_s": 0.5})
    client = await served.connect()
    arguments = {"count": 300, "size": 10_000}
    message = raw.modern("tools/call", name="steps", arguments=arguments, _meta={"progressToken": 1})
    await client.post(message, headers=raw.modern_headers(message))
    await client.head()
    assert len([event async for event in client.events()]) == 301
    assert served.rejected("slow-reader") == 0


@pytest.mark.behaviour("backpressure.large-message", transport="http", era="modern")
async def test_one_message_larger_than_the_buffer_is_no_sign_of_a_slow_reader(serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 65_536})
    client = await served.connect()
    arguments = {"count": 3, "size": 6_000_000}
    message = raw.modern("tools/call", name="steps", arguments=arguments, _meta={"progressToken": 1})
    await client.post(message, headers=raw.modern_headers(message))
    await client.head()
    assert len([event async for event in client.events()]) == 4
