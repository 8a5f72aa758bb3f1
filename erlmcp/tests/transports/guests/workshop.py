"""A guest with a tool for each thing that a transport can get wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel


class Workshop:
    """What happens inside the guest, for tests to see: they run in the same process."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.started = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()


state = Workshop()


@asynccontextmanager
async def lifespan(_: MCPServer) -> AsyncIterator[dict[str, str]]:
    state.log.append("entered")
    try:
        yield {"colour": "blue"}
    finally:
        state.log.append("left")


server = MCPServer("workshop", version="1.2.3", lifespan=lifespan)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def colour(ctx: Context) -> str:
    """What the lifespan gave."""
    return str(ctx.request_context.lifespan_context["colour"])


@server.tool()
async def header(name: str, ctx: Context) -> str:
    """A header of the HTTP request."""
    return str(ctx.request_context.request.headers.get(name))


@server.tool()
async def fail() -> str:
    """Raise what no client should read."""
    raise RuntimeError("the password is swordfish")


@server.tool()
async def steps(count: int, size: int, ctx: Context) -> str:
    """Report progress, each time with a text of some size."""
    for step in range(count):
        await ctx.report_progress(step, count, "x" * size)
    return "done"


@server.tool()
async def wait() -> str:
    """Run until released; tell when cancelled."""
    state.started.set()
    try:
        await state.release.wait()
    except asyncio.CancelledError:
        state.cancelled.set()
        raise
    state.log.append("waited")
    return "released"


@server.tool()
async def poll(ctx: Context) -> str:
    """Let the client go, and answer when it may be back."""
    await ctx.report_progress(1, 2, "go")
    await ctx.close_sse_stream()
    state.started.set()
    await state.release.wait()
    await ctx.report_progress(2, 2, "back")
    return "polled"


@server.tool()
async def part(ctx: Context) -> str:
    """Close the stream of the session."""
    close = ctx.request_context.close_standalone_sse_stream
    if close is None:
        return "no way"
    await close()
    return "closed"


@server.tool()
async def change(uri: str, ctx: Context) -> str:
    """Announce changes."""
    await ctx.notify_resource_updated(uri)
    await ctx.notify_tools_changed()
    return "changed"


class Answer(BaseModel):
    name: str


@server.tool()
async def ask_name(ctx: Context) -> str:
    """Ask the person at the client."""
    answer = await ctx.elicit("Who are you?", Answer)
    return answer.data.name if answer.action == "accept" else answer.action


@server.resource("note://one")
async def one() -> str:
    """A resource."""
    return "first"


def fresh() -> MCPServer:
    """The server, with its state as new."""
    state.log.clear()
    state.started = asyncio.Event()
    state.release = asyncio.Event()
    state.cancelled = asyncio.Event()
    return server
