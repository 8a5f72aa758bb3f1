"""A runtime whose tools come and go, asked without sockets, once for each of the two ways.

A request in chunks has no head that is ever known, and so always takes the kernel.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import fastmcp
import pytest
from fastmcp.tools.function_tool import FunctionTool
from mcp.server.mcpserver import Context

from erlmcp.config.schema import Settings
from erlmcp.dispatch.compiled import CompiledTool
from erlmcp.dispatch.compiled_fastmcp import CompiledFastMCPTool
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.http.connection import HttpConnection
from erlmcp.transports.runtime import GuestRuntime

GUESTS = Path(__file__).parents[1] / "guests"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
LIMIT_S = 20
MCPSERVER, FASTMCP = "MCPServer", "FastMCP"


class Line(asyncio.Transport):
    """The server's end of a connection whose other end is the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 9), "sockname": ("127.0.0.1", 10)})
        self.written = b""
        self.answered = asyncio.Event()

    def write(self, data: Any) -> None:
        self.written += data
        self.answered.set()

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def close(self) -> None: ...

    def abort(self) -> None: ...


class Bench:
    """One runtime whose tools come and go."""

    framework = MCPSERVER
    context_type: Any = Context

    def __init__(self, runtime: GuestRuntime, server: Any) -> None:
        self.runtime = runtime
        self.server = server
        self.compiled = 0
        self.at_once = 0
        self._line = Line()
        self._connection = HttpConnection(runtime._http)
        self._connection.connection_made(self._line)
        self.sessions: dict[str, str] = {}

    async def send(
        self, message: dict[str, Any], headers: dict[str, str], *, chunked: bool
    ) -> tuple[Any, ...]:
        body = json.dumps(message).encode()
        fields = {"host": "127.0.0.1", "content-type": "application/json", **headers}
        fields["accept"] = "application/json, text/event-stream"
        if chunked:
            fields["transfer-encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            fields["content-length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._line.written = b""
        self._line.answered.clear()
        data = f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body
        # Outside any task, as the event loop calls it.
        asyncio.get_running_loop().call_soon(self._connection.data_received, data)
        async with asyncio.timeout(LIMIT_S):
            await self._line.answered.wait()
        answer_head, _, answer = self._line.written.partition(b"\r\n\r\n")
        lines = [
            line if not line.startswith(b"x-request-id: ") else b"x-request-id"
            for line in answer_head.split(b"\r\n")
            if not line.startswith((b"date", b"content-length"))
        ]
        try:
            return lines, json.loads(answer)
        except ValueError:
            return lines, answer

    async def call(self, request_id: Any, name: str, arguments: Any, version: str, *, chunked: bool) -> Any:
        params = {"name": name, "arguments": arguments}
        if version == MODERN:
            params["_meta"] = META
            headers = {"mcp-protocol-version": version, "mcp-method": "tools/call", "mcp-name": name}
        else:
            headers = {"mcp-protocol-version": version, "mcp-session-id": await self.session(version)}
        message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
        return await self.send(message, headers, chunked=chunked)

    async def session(self, version: str) -> str:
        if version not in self.sessions:
            params = {
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            }
            message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
            lines, _ = await self.send(message, {}, chunked=False)
            found = next(line for line in lines if line.startswith(b"mcp-session-id: "))
            self.sessions[version] = found.partition(b": ")[2].decode()
        return self.sessions[version]

    @asynccontextmanager
    async def offered(self, tool: Any, name: str = "tool", **options: Any) -> Any:
        """Offer a tool for a while."""
        self.server.add_tool(tool, name=name, **options)
        try:
            yield
        finally:
            self.server.remove_tool(name)

    async def both(self, request_id: Any, name: str, arguments: Any, version: str) -> tuple[Any, Any]:
        """The compiled answer and the kernel's."""
        return (
            await self.call(request_id, name, arguments, version, chunked=False),
            await self.call(request_id, name, arguments, version, chunked=True),
        )

    async def all_ways(
        self, request_id: Any, name: str, arguments: Any, version: str
    ) -> tuple[Any, Any, Any]:
        """The compiled answer, the same once more, and the kernel's. By the second time head and envelope
        are known, and a tool that never waits answers at once."""
        first = await self.call(request_id, name, arguments, version, chunked=False)
        return first, *(await self.both(request_id, name, arguments, version))


@pytest.fixture(scope="session")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(autouse=True)
def quiet(caplog):
    """A traceback is written for each crash; only the tests about the log want them."""
    caplog.set_level(logging.CRITICAL, logger="mcp")
    caplog.set_level(logging.CRITICAL, logger="fastmcp")


class FastBench(Bench):
    """The same on FastMCP."""

    framework = FASTMCP
    context_type = fastmcp.Context

    @asynccontextmanager
    async def offered(self, tool: Any, name: str = "tool", **options: Any) -> Any:
        structured = options.pop("structured_output", None)
        if structured is False:
            options["output_schema"] = None
        self.server.add_tool(FunctionTool.from_function(tool, name=name, **options))
        try:
            yield
        finally:
            self.server.local_provider.remove_tool(name)


@pytest.fixture
def bench(loop, monkeypatch):
    """On the official SDK."""
    with counting(loop.run(_start(Bench, "growing")), CompiledTool, monkeypatch) as found:
        yield found
        loop.run(found.runtime.close())


@pytest.fixture
def fast_bench(loop, monkeypatch):
    """On FastMCP."""
    with counting(loop.run(_start(FastBench, "growing_fast")), CompiledFastMCPTool, monkeypatch) as found:
        yield found
        loop.run(found.runtime.close())


@pytest.fixture(params=[MCPSERVER, FASTMCP])
def any_bench(request):
    """On each framework."""
    return request.getfixturevalue("bench" if request.param == MCPSERVER else "fast_bench")


@contextmanager
def counting(found: Bench, kind: type, monkeypatch: Any) -> Any:
    """Count the compiled calls of tools of a kind."""
    original, original_now = kind.call, getattr(kind, "call_now", None)

    def counted(*arguments: Any) -> Any:
        found.compiled += 1
        return original(*arguments)

    def counted_now(*arguments: Any) -> Any:
        found.compiled += 1
        found.at_once += 1
        return original_now(*arguments)

    monkeypatch.setattr(kind, "call", counted)
    if original_now is not None:
        monkeypatch.setattr(kind, "call_now", counted_now)
    yield found


async def _start(kind: type[Bench], guest: str) -> Bench:
    runtime = await GuestRuntime.start(
        f"{GUESTS}/{guest}.py:server",
        settings=Settings(),
        keys=KeyRing([KeyRing.generate()]),
        bus=LocalBus(),
        meter=Meter(),
    )
    return kind(runtime, sys.modules[f"erlmcp_guest_{guest}"].server)
