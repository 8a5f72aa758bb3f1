"""The guest behind the framings under fire: quick tools, one that streams, a resource, a prompt."""

from __future__ import annotations

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("fuzzed", version="1", log_level="CRITICAL")


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def echo(text: str, ctx: Context) -> str:
    """Say it again, after telling of progress."""
    await ctx.report_progress(1, 2, text)
    return text


@server.resource("note://one")
async def one() -> str:
    """A resource."""
    return "first"


@server.prompt()
async def greet(name: str) -> str:
    """A prompt."""
    return f"Greet {name}."
