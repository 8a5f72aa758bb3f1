"""Functions that make the server: sync, async, with defaults, with what nobody gives them."""

import asyncio

from mcp.server.mcpserver import MCPServer


def create_server(name="a factory"):
    server = MCPServer("made")

    @server.tool()
    def hello() -> str:
        return f"hello from {name}"

    return server


async def create_async():
    await asyncio.sleep(0)
    return create_server("an async factory")


def application():
    """Nothing in its name says that it only makes."""
    return create_server("a function")


def bound():
    """It needs the loop that will serve."""
    loop = asyncio.get_running_loop()
    return create_server(f"a factory in {type(loop).__name__ and 'the loop'}")


def create_for(folder, *, name):
    return create_server(f"{name} in {folder}")


def create_nothing():
    return 7


def create_and_run():
    create_server().run()
