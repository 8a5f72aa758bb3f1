"""Tools whose argument is mirrored in a header, behind servers that can and cannot look a schema up."""

from typing import Annotated

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool
from pydantic import Field

server = MCPServer("annotated")


@server.tool()
async def route(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "") -> str:
    """Go to a region."""
    return region


SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
listings: list[str | None] = []


async def list_tools(ctx, params):
    cursor = params.cursor if params else None
    listings.append(cursor)
    if cursor is None:
        return ListToolsResult(tools=[Tool(name="other", input_schema={"type": "object"})], next_cursor="2")
    return ListToolsResult(tools=[Tool(name="route", input_schema=SCHEMA)])


async def call_tool(ctx, params):
    return CallToolResult(content=[TextContent(type="text", text=str(params.arguments))])


paged = Server("paged", on_list_tools=list_tools, on_call_tool=call_tool)


async def list_nothing(ctx, params):
    raise RuntimeError("no list today")


silent = Server("silent", on_list_tools=list_nothing, on_call_tool=call_tool)
