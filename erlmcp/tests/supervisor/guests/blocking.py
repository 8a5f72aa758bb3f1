"""A guest whose handlers keep the event loop from turning, in every way in which a guest is called."""

import asyncio
import ctypes
import os
import time

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from starlette.responses import PlainTextResponse

server = MCPServer("blocking")


def wait(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 - this is what it is for


@server.tool()
def who() -> str:
    return str(os.getpid())


@server.tool()
async def block(seconds: float) -> str:
    print("blocking", flush=True)  # noqa: T201 - tells the test
    wait(seconds)
    return str(os.getpid())


@server.tool()
def wait_in_a_thread(seconds: float) -> str:
    wait(seconds)
    return "done"


@server.tool()
async def block_with_context(seconds: float, ctx: Context) -> str:
    wait(seconds)
    return ctx.request_id


@server.tool()
async def block_in_a_task(seconds: float) -> str:
    await asyncio.create_task(asyncio.wait_for(_block_later(seconds), 60))
    return "done"


async def _block_later(seconds: float) -> None:
    await asyncio.sleep(0)
    wait(seconds)


@server.prompt()
async def block_prompt() -> str:
    wait(0.6)
    return "done"


@server.resource("blocking://one")
async def block_resource() -> str:
    wait(0.6)
    return "done"


@server.custom_route("/block", methods=["GET"])
async def block_route(_request):
    wait(0.6)
    return PlainTextResponse("done")


@server.tool()
async def compute(rounds: int) -> int:
    """Holds the interpreter: no other thread runs before it is done."""
    return sum(range(rounds))


@server.tool()
def compute_in_a_thread(rounds: int) -> int:
    return sum(range(rounds))


@server.tool()
def hold(seconds: int) -> str:
    """Holds the interpreter and waits; not even another thread can see it."""
    ctypes.PyDLL(None).sleep(seconds)
    return "done"


@server.tool()
async def rest(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "rested"
