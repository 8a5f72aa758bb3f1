"""A tool that takes processor time, and one that waits for nothing."""

import time

from mcp.server.mcpserver import MCPServer

server = MCPServer("busy")


@server.tool()
async def burn() -> str:
    """Keep the event loop for some milliseconds."""
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        pass
    return "done"
