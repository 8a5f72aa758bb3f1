"""The same two tools on each framework: what every server here is asked to run."""

from __future__ import annotations

from typing import Any, Final

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolRequestParams, CallToolResult, TextContent

NAME: Final = "bench"
MANY_TOOLS: Final = 500


async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def add_sync(a: int, b: int) -> int:
    """Add two integers, in a function that is not async."""
    return a + b


async def add_with_context(a: int, b: int, ctx: Context) -> int:
    """Add two integers, in a function that wants its context."""
    return a + b if ctx.request_id else 0


def sdk_server() -> MCPServer[Any]:
    """On the official SDK."""
    server: MCPServer[Any] = MCPServer(NAME, version="1.0.0", log_level="WARNING")
    server.add_tool(add)
    server.add_tool(add_sync)
    server.add_tool(add_with_context)
    return server


def lowlevel_server() -> Server[Any]:
    """A server that answers calls itself, which nobody can compile."""
    return Server(NAME, version="1.0.0", on_call_tool=_answer_call)


async def _answer_call(_context: Any, params: CallToolRequestParams) -> CallToolResult:
    arguments = params.arguments or {}
    total = arguments["a"] + arguments["b"]
    return CallToolResult(
        content=[TextContent(type="text", text=str(total))], structured_content={"result": total}
    )


def sdk_server_with_many_tools() -> MCPServer[Any]:
    """On the official SDK, among five hundred others."""
    server = sdk_server()
    for number in range(MANY_TOOLS):
        server.add_tool(add, name=f"other_{number}")
    return server


def fastmcp_server() -> Any:
    """On FastMCP, which is imported only where it is wanted."""
    from fastmcp import FastMCP

    server: FastMCP[Any] = FastMCP(NAME, version="1.0.0")
    server.tool(add)
    server.tool(add_sync)
    return server
