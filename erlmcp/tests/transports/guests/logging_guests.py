"""Guests that log at four levels: one leaves the filtering to its host, one is on FastMCP, which filters."""

from fastmcp import Context, FastMCP
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, EmptyResult, TextContent

LEVELS = ("debug", "info", "warning", "error")


async def call_tool(ctx, params):
    related = ctx.request_id if params.name == "during" else None
    for level in LEVELS:
        await ctx.session.send_log_message(level=level, data=level, related_request_id=related)
    return CallToolResult(content=[TextContent(type="text", text="logged")])


async def set_level(ctx, params):
    return EmptyResult()


def plain() -> Server:
    return Server("plain-logs", on_call_tool=call_tool, on_set_logging_level=set_level)


def fast() -> FastMCP:
    server = FastMCP("fast-logs")

    @server.tool
    async def during(ctx: Context) -> str:
        await ctx.info("some news")
        await ctx.error("an error")
        return "logged"

    return server
