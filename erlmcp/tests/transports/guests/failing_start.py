"""A factory that raises, and a server whose lifespan does."""

from contextlib import asynccontextmanager

from mcp.server.mcpserver import MCPServer


def make() -> MCPServer:
    raise ValueError("no configuration")


@asynccontextmanager
async def lifespan(_):
    raise ValueError("no database")
    yield


server = MCPServer("failing", lifespan=lifespan)
