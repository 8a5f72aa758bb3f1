"""Clients that send a byte from time to time and never come to an end: cut in bounded time, and nobody else
notices. Each kind stops at another place of a request."""

import asyncio
import time
from contextlib import suppress

import pytest
from websockets.frames import Frame, Opcode

from erlmcp.transports.runtime import TCP

pytestmark = pytest.mark.anyio

CROWD = 40
TIMEOUT_S = 0.5
CUT_WITHIN_S = 15.0
HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mcp\r\n\r\n"
)
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
KINDS = {
    "request line": (b"POST /m", b"c"),
    "head": (HEAD + b"X-Slow: ", b"x"),
    "many fields": (HEAD, b"X: y\r\n"),
    "body": (HEAD + b"Content-Length: 1000\r\n\r\n{", b" "),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "second head": (b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HEAD, b"X"),
    "line": (PING + b"\n{", b" "),
    "frame": (UPGRADE + Frame(Opcode.TEXT, PING).serialize(mask=True) + b"\x81\xfe\x03\xe8mask", b"x"),
    "fragments": (
        UPGRADE + Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True),
        Frame(Opcode.CONT, b" ", fin=False).serialize(mask=True),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_crowd_of_slow_clients_is_cut_and_slows_nobody(serve, raw, kind):
    limits = {"header_timeout_s": TIMEOUT_S, "body_timeout_s": TIMEOUT_S, "max_headers": 1000}
    served = await serve(http=limits)
    port = served.port
    if kind == "line":
        served.tcp_sock = raw.listening_socket()
        served.runtime.listen(served.tcp_sock, TCP)
        port = served.tcp_sock.getsockname()[1]
    start, drip = KINDS[kind]
    began = time.monotonic()
    slow = [asyncio.create_task(drip_until_cut(port, start, drip)) for _ in range(CROWD)]
    await raw.until(lambda: served.runtime.counts().connections >= CROWD, "the crowd is there")
    calls = 0
    client = await served.connect()
    while not all(each.done() for each in slow):
        message = raw.modern("tools/call", calls, name="add", arguments={"a": calls, "b": 1})
        async with asyncio.timeout(5.0):
            reply = await client.call(message, headers=raw.modern_headers(message))
        assert reply.json["result"]["structuredContent"] == {"result": calls + 1}
        calls += 1
        await asyncio.sleep(0)
    assert time.monotonic() - began < CUT_WITHIN_S
    assert calls > 3, "the other client was served all the time"
    await asyncio.gather(*slow)
    await raw.until(lambda: served.runtime.counts().connections == 1, "the places are free again")


async def drip_until_cut(port: int, start: bytes, drip: bytes) -> None:
    """Send and send, until the server has ended the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    ended = asyncio.create_task(read_to_the_end(reader))
    while not ended.done():
        with suppress(ConnectionError):
            writer.write(drip)
        await asyncio.wait([ended], timeout=TIMEOUT_S / 10)
    writer.transport.abort()


async def read_to_the_end(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65_536):
            pass
