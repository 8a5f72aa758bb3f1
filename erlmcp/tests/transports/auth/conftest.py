"""Every way in which a client can come, whatever it says about itself: what all must refuse alike."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets.asyncio.client as websockets
from issuer import RESOURCE, Issuer

from erlmcp.edge.auth.static_tokens import new_token
from erlmcp.transports.runtime import TCP

LIMIT_S = 20.0
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "mcp",
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": "init",
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "raw", "version": "0"},
    },
}


class Tokens:
    """A file of static tokens, and the tokens."""

    def __init__(self, path: Any) -> None:
        self.path = path
        self.of: dict[str, str] = {}
        self._lines: dict[str, str] = {}
        self.write()

    def add(self, name: str, *scopes: str) -> str:
        """A new token in the file."""
        self.of[name], self._lines[name] = new_token(name, scopes)
        self.write()
        return self.of[name]

    def remove(self, name: str) -> None:
        del self._lines[name]
        self.write()

    def write(self) -> None:
        self.path.touch(mode=0o600)
        self.path.write_text("\n".join(self._lines.values()))


@pytest.fixture
def tokens(tmp_path):
    """A file with nobody's token in it."""
    return Tokens(tmp_path / "tokens")


class Knock:
    """How one way in is tried: the status, and the fields of the answer; over TCP the data of the error.

    A refusal over TCP is counted as 401, being let in as 200.
    """

    def __init__(self, raw: Any, lines: Any) -> None:
        self._raw = raw
        self._lines = lines

    async def __call__(self, door: str, served: Any, *credentials: str, query: str = "") -> tuple[int, Any]:
        if door == "tcp":
            return await self._tcp(served, *credentials)
        client = await served.connect()
        await client.send(self.request(door, *credentials, query=query))
        reply = await client.head()
        client.close()
        return reply.status, reply.headers

    def request(self, door: str, *credentials: str, query: str = "") -> bytes:
        """The bytes of a request of this way."""
        verb, path, body, fields = "GET", "/mcp", b"", {"Host": "127.0.0.1"}
        if door == "post":
            message = self._raw.modern("tools/list")
            verb, body = "POST", json.dumps(message).encode()
            fields |= self._raw.modern_headers(message)
        elif door == "initialize":
            verb, body = "POST", json.dumps(INITIALIZE).encode()
        elif door == "delete":
            verb = "DELETE"
        elif door == "sse":
            path = "/sse"
        elif door == "sse-post":
            verb, path, body = "POST", "/messages", b"{}"
        elif door == "websocket":
            path, fields = "/ws", fields | UPGRADE
        if body:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        fields["Accept"] = "application/json, text/event-stream"
        lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
        lines += [f"Authorization: {value}\r\n" for value in credentials]
        return f"{verb} {path}{query} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1") + body

    async def _tcp(self, served: Any, *credentials: str) -> tuple[int, Any]:
        client = await self._lines(served)
        for value in credentials:
            await client.send({"authorization": value})
        await client.send(self._raw.modern("tools/list"))
        answer = await client.receive()
        client.close()
        if "result" in answer:
            return 200, {}
        assert answer["id"] is None
        assert answer["error"]["code"] == -31401
        return 401, answer["error"].get("data", {})


class Lines:
    """A TCP connection as a client has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: Any) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> dict[str, Any]:
        return json.loads(await self.line())

    async def line(self) -> bytes:
        """The next line; empty when the server has closed."""
        async with asyncio.timeout(LIMIT_S):
            try:
                return await self._reader.readline()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self._writer.transport.abort()


@pytest.fixture
def lines(raw):
    """A function that opens a TCP connection to a server."""

    async def connect(served: Any) -> Lines:
        if not hasattr(served, "tcp_sock"):
            served.tcp_sock = raw.listening_socket()
            served.runtime.listen(served.tcp_sock, TCP)
        port = served.tcp_sock.getsockname()[1]
        return Lines(*await asyncio.open_connection("127.0.0.1", port, limit=1024 * 1024))

    return connect


@pytest.fixture
def knock(raw, lines):
    """Tries one way in."""
    return Knock(raw, lines)


@pytest.fixture
def issuer():
    """An authorization server with one key."""
    running = Issuer()
    running.add_key("k1")
    yield running
    running.close()


@pytest.fixture
def other():
    """Another authorization server, at a path."""
    running = Issuer("/tenant")
    running.add_key("k1", "RS256")
    yield running
    running.close()


@pytest.fixture
def guard(serve, issuer):
    """Starts a server that takes tokens of the issuer."""

    async def start(*, trusted=None, **auth):
        trusted = trusted or [{"issuer": issuer.name}]
        return await serve(
            auth={"resource": RESOURCE, "issuers": trusted, "keys_cooldown_s": 0.05, **auth},
            limits={"calls_per_s": 0},  # tests ask as fast as they can until something changes
        )

    return start


@pytest.fixture
def refusal(knock):
    """Why a token is refused, by the words of the door; empty when it is not."""

    async def ask(served, token):
        status, fields = await knock("post", served, f"Bearer {token}")
        if status == 200:
            return ""
        if status == 503:
            return "unavailable"
        assert status == 401
        challenge = fields["www-authenticate"]
        assert 'error="invalid_token"' in challenge
        return challenge.partition('error_description="')[2].rstrip('"')

    return ask


class OverSse:
    """A stream by GET, messages by POST, with a token on both."""

    def __init__(self, served: Any, stream: Any, address: str, field: str) -> None:
        self._served = served
        self._stream = stream
        self._pieces = stream.chunks()
        self._address = address
        self._field = field

    @classmethod
    async def open(cls, served: Any, token: str) -> OverSse:
        stream = await served.connect()
        field = f"Authorization: Bearer {token}\r\n"
        await stream.send(f"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n".encode())
        assert (await stream.head()).status == 200
        address = (await anext(stream.chunks())).decode().partition("data: ")[2].strip()
        return cls(served, stream, address, field)

    async def send(self, message: Any) -> None:
        data = json.dumps(message).encode()
        poster = await self._served.connect()
        fields = f"Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        await poster.send(f"POST {self._address} HTTP/1.1\r\n{fields}{self._field}\r\n".encode() + data)
        assert (await poster.reply()).status == 202
        poster.close()

    async def receive(self) -> dict[str, Any]:
        buffer = b""
        async with asyncio.timeout(LIMIT_S):
            while not buffer.endswith(b"\n\n"):
                buffer += await anext(self._pieces)
        return json.loads(buffer.partition(b"data: ")[2])

    def close(self) -> None:
        self._stream.close()


class OverWebSocket:
    """Text frames, with a token at the upgrade."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, served: Any, token: str) -> OverWebSocket:
        return cls(
            await websockets.connect(
                f"ws://127.0.0.1:{served.port}/ws",
                subprotocols=["mcp"],
                additional_headers={"Authorization": f"Bearer {token}"},
                proxy=None,
            )
        )

    async def send(self, message: Any) -> None:
        await self._connection.send(json.dumps(message), text=True)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT_S):
            return json.loads(await self._connection.recv())

    def close(self) -> None:
        self._connection.transport.abort()


@pytest.fixture
def channel(lines):
    """A function that opens a channel of a kind with a token."""

    async def open_channel(kind: str, served: Any, token: str) -> Any:
        if kind == "sse":
            return await OverSse.open(served, token)
        if kind == "websocket":
            return await OverWebSocket.open(served, token)
        client = await lines(served)
        await client.send({"authorization": f"Bearer {token}"})
        return client

    return open_channel
