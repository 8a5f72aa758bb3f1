"""Servers with nothing registered."""

from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer

server = MCPServer("empty")
low = Server("empty low")
