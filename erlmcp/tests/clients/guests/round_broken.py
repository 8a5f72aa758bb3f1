"""The guest of the full round with three faults, each of which one act must find."""

import asyncio

from mcp.server.mcpserver import Context
from round_sdk import server
from round_tools import NOTE_URI, PAUSE_S

for name in ("add", "steps"):
    server.remove_tool(name)


@server.tool()
async def add(a: int, b: int) -> int:
    """Add two numbers, and one more."""
    return a + b + 1


@server.tool(structured_output=False)
async def steps(ctx: Context) -> str:
    """Report progress twice."""
    await ctx.report_progress(1, 3)
    await ctx.report_progress(3, 3)
    await asyncio.sleep(PAUSE_S)
    return "three steps"


@server.resource(NOTE_URI + "s", mime_type="text/plain")
async def notes() -> str:
    return "one too many"
