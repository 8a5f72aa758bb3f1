"""A connected minimal client for each transport that shares one channel. None retries anything."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import websockets.asyncio.client as websockets
from websockets.exceptions import ConnectionClosed

from erlmcp.transports.runtime import TCP
from erlmcp.transports.stdio.server import serve_stdio

LIMIT_S = 20.0
TRANSPORTS = ("tcp", "stdio", "websocket", "sse")
MODERN_TRANSPORTS = ("tcp", "stdio", "websocket")


class Client:
    """One end of a channel: messages out, messages in, and the end of it."""

    async def send(self, message: Any) -> None:
        """Send a message; bytes go out as they are."""
        await self.write(message if isinstance(message, bytes) else json.dumps(message).encode())

    async def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def read(self) -> bytes:
        """One message; empty when the server has ended the channel."""
        raise NotImplementedError

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT_S):
            data = await self.read()
        assert data, "the server ended the channel"
        return json.loads(data)

    async def rest(self) -> list[dict[str, Any]]:
        """Every message until the server ends the channel."""
        messages = []
        async with asyncio.timeout(LIMIT_S):
            while data := await self.read():
                messages.append(json.loads(data))
        return messages

    async def call(self, message: dict[str, Any]) -> dict[str, Any]:
        await self.send(message)
        return await self.receive()

    async def initialize(self, version: str = "2025-11-25", capabilities: Any = None) -> dict[str, Any]:
        """Shake hands; the result."""
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "raw", "version": "0"},
        }
        answer = await self.call({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params})
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer["result"]

    async def close(self) -> None:
        raise NotImplementedError


class TcpClient(Client):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data + b"\n")
        await self.writer.drain()

    async def read(self) -> bytes:
        return await self.reader.readline()

    async def close(self) -> None:
        self.writer.transport.abort()


class StdioClient(TcpClient):
    """Pipes instead of a socket, with the server's end in this process."""

    def __init__(self, reader: Any, writer: Any, serving: asyncio.Task[None]) -> None:
        super().__init__(reader, writer)
        self.serving = serving

    async def close(self) -> None:
        self.writer.transport.close()


class WebSocketClient(Client):
    """The websockets package's client; text frames both ways."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def write(self, data: bytes) -> None:
        with suppress(ConnectionClosed):  # the server may be quicker; what it said is read by the test
            await self.connection.send(data, text=True)

    async def read(self) -> bytes:
        try:
            return await self.connection.recv(decode=False)
        except ConnectionClosed:
            return b""

    async def close(self) -> None:
        self.connection.transport.abort()


async def connect_websocket(served: Any) -> WebSocketClient:
    url = f"{'wss' if served.tls else 'ws'}://127.0.0.1:{served.port}/ws"
    connection = await websockets.connect(
        url,
        ssl=served.tls,
        subprotocols=["mcp"],
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    )
    return WebSocketClient(connection)


class SseClient(Client):
    """A stream by GET, messages by POST, each on a new connection."""

    def __init__(self, served: Any, stream: Any, events: Any, address: str) -> None:
        self.served = served
        self.stream = stream
        self.events = events
        self.address = address

    async def post_status(self, data: bytes, *, to: Any = None, address: str = "", **fields: str) -> int:
        """The status of a POST, to another worker if one is given."""
        client = await (to or self.served).connect()
        headers = {
            "Host": "127.0.0.1",
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **fields,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await client.send(f"POST {address or self.address} HTTP/1.1\r\n{lines}\r\n".encode() + data)
        return (await client.reply()).status

    async def write(self, data: bytes) -> None:
        assert await self.post_status(data) == 202

    async def read(self) -> bytes:
        event = await anext(self.events, None)
        return b"" if event is None else event[1]

    async def close(self) -> None:
        self.stream.close()


async def events_of(stream: Any) -> Any:
    """Kind and data of each event of a stream until it ends."""
    buffer = b""
    with suppress(asyncio.IncompleteReadError):
        async for piece in stream.chunks():
            buffer += piece
            while b"\n\n" in buffer:
                block, _, buffer = buffer.partition(b"\n\n")
                fields = dict(
                    line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":")
                )
                if fields:
                    yield fields[b"event"], fields[b"data"]


async def connect_sse(served: Any) -> SseClient:
    stream = await served.connect()
    await stream.send(b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
    assert (await stream.head()).status == 200
    events = events_of(stream)
    kind, address = await anext(events)
    assert kind == b"endpoint"
    return SseClient(served, stream, events, address.decode())


async def connect_tcp(served: Any) -> TcpClient:
    if not hasattr(served, "tcp_sock"):
        served.tcp_sock = served.listening_socket()
        served.runtime.listen(served.tcp_sock, TCP)
    port = served.tcp_sock.getsockname()[1]
    limit = 64 * 1024 * 1024
    return TcpClient(*await asyncio.open_connection("127.0.0.1", port, limit=limit, ssl=served.tls))


async def connect_stdio(served: Any) -> StdioClient:
    loop = asyncio.get_running_loop()
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    serving = asyncio.create_task(serve_stdio(served.runtime.channels, their_in, their_out))
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(our_in, "rb"))
    out, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(our_out, "wb"))
    return StdioClient(reader, asyncio.StreamWriter(out, protocol, None, loop), serving)


CONNECT = {"tcp": connect_tcp, "stdio": connect_stdio, "websocket": connect_websocket, "sse": connect_sse}


@pytest.fixture
async def connect(serve, raw, anyio_backend):
    """A function that connects a client by the name of the transport; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def open_client(transport: str, served: Any = None) -> Any:
            served = served or await serve()
            served.listening_socket = raw.listening_socket
            client = await CONNECT[transport](served)
            client.served = served
            stack.push_async_callback(client.close)
            return client

        yield open_client


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    """Every transport that shares a channel."""
    return request.param


@pytest.fixture(params=MODERN_TRANSPORTS)
def modern_transport(request):
    """Every transport that shares a channel and serves the modern era."""
    return request.param


class Dialect:
    """A transport with an era: how to begin on a channel, and how messages look."""

    def __init__(self, transport: str, era: str, connect: Any, raw: Any) -> None:
        self.transport = transport
        self.era = era
        self._connect = connect
        self._raw = raw

    async def open(self, served: Any = None) -> Any:
        """A client that has sent its first request."""
        client = await self._connect(self.transport, served)
        if self.era == "handshake":
            await client.initialize()
        else:
            assert "result" in await client.call(self.light("first"))
        return client

    def message(self, method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
        make = self._raw.modern if self.era == "modern" else self._raw.handshake
        return make(method, request_id, **params)

    def light(self, request_id: Any) -> dict[str, Any]:
        """A request that costs nothing and has a result."""
        return self.message("tools/list", request_id)


DIALECTS = [*((name, "modern") for name in MODERN_TRANSPORTS), *((name, "handshake") for name in TRANSPORTS)]


@pytest.fixture(params=DIALECTS, ids="-".join)
def dialect(request, connect, raw):
    """Every transport that shares a channel, with each era that it serves."""
    return Dialect(*request.param, connect, raw)
