"""A script that makes a server and never runs it."""

from mcp.server.mcpserver import MCPServer

mcp = MCPServer("unfinished")


@mcp.tool()
def hello() -> str:
    return "hello from a script that never runs it"
