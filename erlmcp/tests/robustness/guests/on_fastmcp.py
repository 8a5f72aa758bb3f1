"""The unruly guest as a FastMCP."""

import os
from typing import Any

from fastmcp import FastMCP
from misdeeds import EXITS, RETURNED, do_raise

server = FastMCP("unruly")


@server.tool
def who() -> str:
    return str(os.getpid())


@server.tool
async def raises(kind: str) -> str:
    return do_raise(kind)


@server.tool
async def returns(kind: str) -> Any:
    return RETURNED[kind]()


@server.tool
async def exits(kind: str) -> str:
    EXITS[kind]()
    return "stayed"
