"""A server without tools; the tests add and remove them while it runs."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("growing", version="1.0.0", log_level="CRITICAL")
