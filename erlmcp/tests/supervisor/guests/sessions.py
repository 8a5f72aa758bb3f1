"""A guest whose calls outlive a connection, ask their client and announce changes."""

import asyncio
import os

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("sessions")


@server.tool()
def who() -> str:
    """The process that answers."""
    return str(os.getpid())


@server.tool()
async def stay_away(ctx: Context) -> str:
    """Let the client go and never answer."""
    await ctx.report_progress(1, 2, "go")
    await ctx.close_sse_stream()
    await asyncio.Event().wait()
    return "never"


@server.tool()
async def count_roots(ctx: Context) -> str:
    """Ask for the client's roots, outside the stream of this call."""
    return str(len((await ctx.session.list_roots()).roots))


@server.tool()
async def change(uri: str, ctx: Context) -> str:
    """Announce a changed resource."""
    await ctx.notify_resource_updated(uri)
    return "changed"


@server.resource("note://one")
async def one() -> str:
    """A resource."""
    return "first"


@server.tool(meta={"erlmcp/task": "required"})
async def build() -> str:
    """Run as a task."""
    await asyncio.sleep(0.2)
    return "built"


class Gate:
    """What lets a call of this process go on."""

    def __init__(self) -> None:
        self.released = asyncio.Event()


gate = Gate()


@server.tool()
async def go_away(ctx: Context) -> str:
    """Let the client go, and answer when released."""
    await ctx.report_progress(1, 2, "go")
    await ctx.close_sse_stream()
    await gate.released.wait()
    await ctx.report_progress(2, 2, "back")
    return "done"


@server.tool()
async def release() -> str:
    """Let the call go on that waits in this process."""
    gate.released.set()
    return "released"
