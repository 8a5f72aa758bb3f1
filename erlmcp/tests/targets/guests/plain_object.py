"""A server in a module, as most are; and one inside a namespace."""

import os
import types

from mcp.server.mcpserver import MCPServer

server = MCPServer("plain")


@server.tool()
def hello() -> str:
    return f"hello from {os.environ.get('PLACE', 'an object')}"


inside = types.SimpleNamespace(deep=types.SimpleNamespace(server=server))
number = 7
