"""The unruly guest as an MCPServer: tools that are answered at once, wait, run in threads, have a context."""

import asyncio
import os
import threading
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from misdeeds import EXITS, RETURNED, do_raise
from starlette.responses import PlainTextResponse

server = MCPServer("unruly")


@server.tool()
def who() -> str:
    return str(os.getpid())


@server.tool()
async def raises(kind: str) -> str:
    return do_raise(kind)


@server.tool()
async def raises_later(kind: str) -> str:
    await asyncio.sleep(0)
    return do_raise(kind)


@server.tool()
def raises_in_a_thread(kind: str) -> str:
    return do_raise(kind)


@server.tool()
async def raises_with_context(kind: str, ctx: Context) -> str:
    await ctx.report_progress(1, 2)
    return do_raise(kind)


@server.tool()
async def awaits_what_is_cancelled() -> str:
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner
    return "never"


@server.tool()
async def cancels_itself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(60)
    return "never"


@server.tool(structured_output=False)
async def returns(kind: str) -> Any:
    return RETURNED[kind]()


@server.tool()
async def returns_structure(kind: str) -> dict[str, Any]:
    return {"value": RETURNED[kind]()}


@server.tool()
async def returns_number(kind: str) -> int:
    return RETURNED[kind]()  # type: ignore[no-any-return]


@server.tool()
async def exits(kind: str) -> str:
    EXITS[kind]()
    return "stayed"


@server.tool()
def exits_in_a_thread(kind: str) -> str:
    EXITS[kind]()
    return "stayed"


@server.tool()
async def exits_in_a_task() -> str:
    """A task of the guest's own ends the loop: nothing of ours is above it."""

    async def leave() -> None:
        raise SystemExit(3)

    await asyncio.create_task(leave())
    return "stayed"


@server.tool()
async def who_needs_no_thread() -> str:
    return str(os.getpid())


@server.tool()
async def hangs(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def hangs_in_a_thread(seconds: float) -> str:
    threading.Event().wait(seconds)
    return "done"


@server.tool()
async def hangs_and_refuses_to_end(times: int) -> str:
    for _ in range(times):
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            continue
    return "done at last"


@server.prompt()
async def raising_prompt(kind: str) -> str:
    return do_raise(kind)


@server.resource("unruly://{kind}")
async def raising_resource(kind: str) -> str:
    return do_raise(kind)


@server.custom_route("/raises/{kind}", methods=["GET"])
async def raising_route(request: Any) -> PlainTextResponse:
    return PlainTextResponse(do_raise(request.path_params["kind"]))
