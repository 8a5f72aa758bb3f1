"""Real runtimes on real loopback sockets, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from authority import Authority

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.schema import HttpSettings, LimitSettings, LogSettings, McpSettings, Settings, TlsSettings
from erlmcp.edge.tls import Identity
from erlmcp.sessions.bus import Bus, LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime

GUESTS = Path(__file__).parent / "guests"
MODERN = "2026-07-28"
LIMIT_S = 20.0


@pytest.fixture
def anyio_backend():
    return ("asyncio", {"use_uvloop": True})


def pytest_generate_tests(metafunc):
    """Runs every test that has a server once in each of the ways that its module names."""
    ways = getattr(metafunc.module, "WAYS", ())
    if ways and "secured" in metafunc.fixturenames:
        metafunc.parametrize("secured", [way == "tls" for way in ways], ids=ways, indirect=True)


@pytest.fixture(autouse=True)
def working_directory(monkeypatch):
    monkeypatch.syspath_prepend(str(GUESTS))


class Reply:
    """One HTTP response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class RawClient:
    """A TCP connection on which a test writes bytes and reads responses. It never retries."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def post(
        self, message: Any, *, headers: dict[str, str] | None = None, version: str = "1.1"
    ) -> None:
        await self.send(post_bytes(message, headers=headers, version=version))

    async def call(self, message: Any, *, headers: dict[str, str] | None = None) -> Reply:
        await self.post(message, headers=headers)
        return await self.reply()

    async def head(self) -> Reply:
        async with asyncio.timeout(LIMIT_S):
            text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text[:-4].split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Reply(int(first.split(" ")[1]), headers)

    async def reply(self, *, to_head: bool = False) -> Reply:
        reply = await self.head()
        if to_head or reply.status in (100, 204):
            return reply
        if reply.headers.get("transfer-encoding") == "chunked":
            reply.body = b"".join([piece async for piece in self.chunks()])
        elif "content-length" in reply.headers:
            async with asyncio.timeout(LIMIT_S):
                reply.body = await self._reader.readexactly(int(reply.headers["content-length"]))
        else:
            reply.body = await self.rest()
        return reply

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(LIMIT_S):
                size = int(await self._reader.readuntil(b"\r\n"), 16)
                data = await self._reader.readexactly(size + 2)
            if not size:
                return
            yield data[:-2]

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """JSON-RPC messages of an event stream until it ends."""
        buffer = b""
        async for piece in self.chunks():
            buffer += piece
            while b"\n\n" in buffer:
                block, _, buffer = buffer.partition(b"\n\n")
                data = [line[6:] for line in block.split(b"\n") if line.startswith(b"data: ")]
                if data:
                    yield json.loads(b"".join(data))

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(LIMIT_S):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.transport.abort()


def post_bytes(message: Any, *, headers: dict[str, str] | None = None, version: str = "1.1") -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    fields = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"POST /mcp HTTP/{version}\r\n{''.join(lines)}\r\n".encode("latin-1") + body


def modern(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        **params.pop("_meta", {}),
    }
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}


def modern_headers(message: dict[str, Any]) -> dict[str, str]:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": message["method"]}
    name = message["params"].get("name") or message["params"].get("uri")
    if name:
        headers["mcp-name"] = name
    return headers


class Served:
    """One runtime with one listening socket."""

    def __init__(
        self,
        runtime: GuestRuntime,
        sock: socket.socket,
        meter: Meter,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        """With what its clients connect; None when it speaks no TLS."""
        self.runtime = runtime
        self.sock = sock
        self.meter = meter
        self.port = sock.getsockname()[1]
        self.workshop: Any = getattr(sys.modules.get("erlmcp_guest_workshop"), "state", None)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/mcp"
        self._clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls))
        self._clients.append(client)
        return client

    async def session_call(self, session: str, message: dict[str, Any], version: str = "2025-11-25") -> Reply:
        headers = {"mcp-session-id": session, "mcp-protocol-version": version}
        return await (await self.connect()).call(message, headers=headers)

    async def get_stream(self, session: str) -> tuple[RawClient, Reply]:
        client = await self.connect()
        await client.send(
            f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
            f"Mcp-Session-Id: {session}\r\n\r\n".encode()
        )
        return client, await client.head()

    async def delete(self, session: str) -> Reply:
        client = await self.connect()
        await client.send(
            f"DELETE /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nMcp-Session-Id: {session}\r\n\r\n".encode()
        )
        return await client.reply()

    async def modern_call(self, method: str, **params: Any) -> Reply:
        message = modern(method, **params)
        return await (await self.connect()).call(message, headers=modern_headers(message))

    async def initialize(self, version: str = "2025-11-25", capabilities: Any = None) -> str:
        """A new handshake session; its id."""
        message = {
            "jsonrpc": "2.0",
            "id": "init",
            "method": "initialize",
            "params": {
                "protocolVersion": version,
                "capabilities": capabilities or {},
                "clientInfo": {"name": "raw", "version": "0"},
            },
        }
        reply = await (await self.connect()).call(message)
        assert reply.status == 200, reply.body
        return reply.headers["mcp-session-id"]

    def outcomes(self, method: str) -> dict[str, int]:
        rows = self.meter.snapshot()["requests"]
        return {outcome: count for name, _, _, outcome, count in rows if name == method}

    def rejected(self, reason: str) -> int:
        return int(self.meter.snapshot()["rejected"].get(reason, 0))

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.runtime.close()
        self.sock.close()


def handshake(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def listening_socket() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0), backlog=128)
    sock.setblocking(False)
    return sock


async def until(condition, what: str = "the condition") -> None:
    """Wait for something that needs a few turns of the loop, within a bound."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 - the condition is anything a test can look at
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true") from None


@pytest.fixture(scope="session")
def authority():
    """Signs the certificates of servers and clients."""
    return Authority()


@pytest.fixture(scope="session")
def issued(authority):
    """The certificate of the servers."""
    return authority.issue()


@pytest.fixture
def secured(request, monkeypatch, tmp_path, authority):
    """Whether servers speak TLS. A module that holds for both names them in ``WAYS``."""
    speaks = getattr(request, "param", False)
    if speaks:  # real clients believe what this names
        (tmp_path / "authority.pem").write_bytes(authority.pem)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return speaks


@pytest.fixture
async def serve(anyio_backend, secured, authority, issued):
    """A function that starts a runtime; all are closed at the end."""
    keys = KeyRing([KeyRing.generate()])
    usual = issued.identity() if secured else None
    async with AsyncExitStack() as stack:

        async def start(
            target: str = "workshop.py:fresh",
            *,
            http: dict[str, Any] | None = None,
            mcp: dict[str, Any] | None = None,
            limits: dict[str, Any] | None = None,
            bus: Bus | None = None,
            ring: KeyRing = keys,
            tls: dict[str, Any] | None = None,
            log: dict[str, Any] | None = None,
            auth: dict[str, Any] | None = None,
            identity: Identity | None = usual,
            worker: str = "",
        ) -> Served:
            settings = Settings(
                http=HttpSettings(**(http or {})),
                mcp=McpSettings(**(mcp or {})),
                limits=LimitSettings(**(limits or {})),
                tls=TlsSettings(**(tls or {})),
                log=LogSettings(**(log or {})),
                auth=AuthSettings(**(auth or {})),
            )
            meter = Meter()
            place = str(GUESTS / target) if target.partition(":")[0].endswith(".py") else target
            runtime = await GuestRuntime.start(
                place,
                settings=settings,
                keys=ring,
                bus=bus or LocalBus(),
                meter=meter,
                identity=identity,
                worker=worker,
            )
            sock = listening_socket()
            runtime.listen(sock, "public")
            served = Served(runtime, sock, meter, authority.client_context() if identity else None)
            stack.push_async_callback(served.close)
            return served

        yield start


MANY_ENDED = 20
"""Connections that a test ends; of what makes garbage there is at least one for each."""


@pytest.fixture
def garbage():
    """A function that names what of the server only the collector would give back, of each connection."""
    gc.freeze()  # what other tests have left is not looked at, which would take seconds
    gc.disable()

    def count():
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = Counter(type(each) for each in gc.garbage if is_of_server(type(each)))
        gc.garbage.clear()
        return [kind.__qualname__ for kind, count in found.items() if count >= MANY_ENDED]

    yield count
    gc.set_debug(0)
    gc.garbage.clear()
    gc.unfreeze()
    gc.enable()


def is_of_server(kind):
    """Whether there is one for each connection or call of the server, and none that only tests make."""
    module = kind.__module__
    if module.startswith(("mcp.server.runner", "mcp.server.connection")):
        return True
    return module.startswith(("erlmcp.", "httptools.")) and not module.startswith("erlmcp.tests.")


@pytest.fixture
def raw():
    """The building blocks of raw requests, for tests that cannot import this file."""
    return RawTools


class RawTools:
    many_ended = MANY_ENDED
    post_bytes = staticmethod(post_bytes)
    modern = staticmethod(modern)
    modern_headers = staticmethod(modern_headers)
    handshake = staticmethod(handshake)
    until = staticmethod(until)
    listening_socket = staticmethod(listening_socket)

    @staticmethod
    def line(message: Any) -> bytes:
        return json.dumps(message).encode() + b"\n"
