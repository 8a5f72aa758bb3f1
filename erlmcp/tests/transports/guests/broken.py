"""A low-level server whose handler raises what no client should read."""

from mcp.server.lowlevel import Server


async def call_tool(ctx, params):
    raise RuntimeError("the password is swordfish")


server = Server("broken", on_call_tool=call_tool)
