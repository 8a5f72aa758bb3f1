"""One job on a low-level server, which only its list of tools can tell of."""

import asyncio

from mcp.server.lowlevel.server import Server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool

TOOL = Tool(
    name="lowly",
    description="A job",
    input_schema={"type": "object"},
    _meta={"erlmcp/task": "optional"},
)


async def list_tools(_ctx, _params):
    return ListToolsResult(tools=[TOOL])


async def call_tool(_ctx, _params):
    await asyncio.sleep(0.3)
    return CallToolResult(content=[TextContent(type="text", text="from below")])


server = Server("lowly", on_list_tools=list_tools, on_call_tool=call_tool)
