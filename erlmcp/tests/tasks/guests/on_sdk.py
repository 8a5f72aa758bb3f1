"""The jobs on the official SDK."""

import jobs
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("jobs", version="1.0.0")
jobs.register(server, Context)
