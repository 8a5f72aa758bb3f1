"""What the kernel leaves out when nobody can tell, and what it must not leave out."""

from __future__ import annotations

from typing import Any

import mcp.shared._otel
import pytest
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import NoBackChannelError
from mcp_types import CallToolResult
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.kernel import Kernel, new_connection, part, transport_context
from erlmcp.protocol.modern import Envelope

META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Nowhere:
    can_ask = False

    async def emit(self, message: bytes) -> None: ...

    async def ask(self, *_: Any) -> dict[str, Any]:
        raise AssertionError("nobody asks here")


class Bench:
    """A server whose one tool notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.closed: list[str] = []
        self.leaves_cleanup = False
        self.server = Server("bench", on_call_tool=self.call_tool)
        self.kernel = Kernel(Guest(self.server, "Server", delivers_changes=False))

    async def call_tool(self, context: Any, _params: Any) -> CallToolResult:
        self.seen.append(trace.get_current_span().get_span_context())
        if self.leaves_cleanup:
            context.session._connection.exit_stack.callback(self.closed.append, "closed")
        return CallToolResult(content=[])

    async def call(self, **meta: Any) -> Any:
        params = {"name": "tool", "arguments": {}, "_meta": {**META, **meta}}
        context = CallContext(
            Nowhere(), 1, params, transport_context("test", {}, can_ask=False), lambda: None
        )
        envelope = Envelope("2026-07-28", META["io.modelcontextprotocol/clientInfo"], {})
        return await self.kernel.modern(context, envelope, "tools/call", params)


@pytest.fixture
def spans(monkeypatch):
    """Spans as an operator records them, for one test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(mcp.shared._otel, "_tracer", provider.get_tracer("test"))
    return exporter


@pytest.mark.anyio
async def test_without_a_provider_and_a_trace_no_span_is_made(monkeypatch):
    monkeypatch.setattr(mcp.shared._otel, "_tracer", None)  # whoever asks for a span fails
    bench = Bench()
    assert (await bench.call(progressToken=1))["resultType"] == "complete"
    assert not bench.seen[0].is_valid


@pytest.mark.anyio
async def test_a_clients_trace_is_seen_by_the_handler_even_when_nobody_records():
    bench = Bench()
    await bench.call(traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    assert f"{bench.seen[0].trace_id:032x}" == TRACE


@pytest.mark.anyio
async def test_a_provider_gets_the_span_of_each_call(spans):
    bench = Bench()
    await bench.call()
    assert [span.name for span in spans.get_finished_spans()] == ["tools/call tool"]
    assert bench.seen[0].is_valid


@pytest.mark.anyio
async def test_what_a_handler_leaves_to_its_connection_is_cleaned_up_after_the_call():
    bench = Bench()
    await bench.call()
    assert bench.closed == []
    bench.leaves_cleanup = True
    await bench.call()
    assert bench.closed == ["closed"]


class Heard:
    """A way to a client that notes what it is sent."""

    def __init__(self) -> None:
        self.methods: list[str] = []

    async def send_raw_request(self, method: str, *_: Any) -> dict[str, Any]:
        self.methods.append(method)
        return {}

    async def notify(self, method: str, *_: Any) -> None:
        self.methods.append(method)


@pytest.mark.anyio
async def test_the_way_to_a_client_that_is_gone_is_closed_after_the_guest_has_cleaned_up():
    heard = Heard()
    connection = new_connection(heard)
    connection.exit_stack.push_async_callback(connection.notify, "notifications/message", None)
    await part(connection)
    assert heard.methods == ["notifications/message"], "what the guest says while it cleans up"
    await connection.notify("notifications/message", None)
    with pytest.raises(NoBackChannelError):
        await connection.send_raw_request("ping", None)
    assert heard.methods == ["notifications/message"]
