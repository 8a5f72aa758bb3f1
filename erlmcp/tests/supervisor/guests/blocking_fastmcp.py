"""A FastMCP whose tool keeps the event loop from turning."""

import time

from fastmcp import FastMCP

server = FastMCP("blocking")


@server.tool
async def block(seconds: float) -> str:
    time.sleep(seconds)  # noqa: ASYNC251, TID251 - this is what it is for
    return "unblocked"
