"""A guest that says things in the session, outside the answer of a call."""

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("talkative")


@server.tool()
async def say(text: str, ctx: Context) -> str:
    """Say it on the session's standing stream."""
    await ctx.session.send_log_message(level="info", data=text)
    return "said"


@server.tool()
async def count_roots(ctx: Context) -> str:
    """Ask for the client's roots, outside the stream of this call."""
    return str(len((await ctx.session.list_roots()).roots))
