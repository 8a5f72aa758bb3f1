"""The jobs on FastMCP, and one that is marked in FastMCP's own way."""

import asyncio

import jobs
from fastmcp import Context, FastMCP

server = FastMCP("jobs", version="1.0.0")
jobs.register(server, Context)


@server.tool(task=True)
async def own_way() -> str:
    """Marked as FastMCP has it."""
    await asyncio.sleep(0.3)
    return "in its own way"
