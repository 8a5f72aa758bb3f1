"""Servers that exist only inside main(), run in every way the SDK has; and mains that go wrong."""

import argparse
import asyncio
import contextlib
import signal
import sys
import threading

import anyio
import mcp.types as types
import mcp_types
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server

journal = []
"""What happened, in order; read by the tests."""
early = MCPServer("empty until main")


def _server(text):
    @contextlib.asynccontextmanager
    async def lifespan(_):
        journal.append("lifespan entered")
        yield
        journal.append("lifespan left")

    server = MCPServer("inside", lifespan=lifespan)

    @server.tool()
    async def hello() -> str:
        return text if "pool open" not in journal else f"{text}, pool {journal[-1].split()[-1]}"

    return server


def run():
    _server("hello from run").run()


def run_http():
    _server("hello from run over http").run(transport="streamable-http", port=1)


def asyncio_run():
    asyncio.run(_server("hello from asyncio.run").run_stdio_async())


async def run_async():
    await _server("hello from a coroutine").run_stdio_async()


def anyio_run():
    async def serve():
        async with anyio.create_task_group() as group:
            group.start_soon(_server("hello from anyio.run").run_stdio_async)

    anyio.run(serve)


def old_loop():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_server("hello from an old loop").run_stdio_async())


def current_loop():
    asyncio.get_event_loop().run_until_complete(_server("hello from the current loop").run_stdio_async())


def low_level():
    async def list_tools(ctx, params):
        return mcp_types.ListToolsResult(
            tools=[mcp_types.Tool(name="hello", input_schema={"type": "object"})]
        )

    async def call_tool(ctx, params):
        return mcp_types.CallToolResult(
            content=[types.TextContent(type="text", text="hello from the low level")]
        )

    async def serve():
        server = Server("low", on_list_tools=list_tools, on_call_tool=call_tool)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    asyncio.run(serve())


def uvicorn_app():
    import uvicorn

    uvicorn.run(_server("hello from uvicorn").streamable_http_app(), port=1)


def registers():
    """The object is there from the start; its tools come with main()."""

    @early.tool()
    def hello() -> str:
        return "hello from main's own"

    early.run()


def parses():
    parser = argparse.ArgumentParser(prog="parses")
    parser.add_argument("--name", required=True)
    _server(f"hello from {parser.parse_args().name}").run()


def signals():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asyncio.new_event_loop()
    _server("hello from one with signals").run()


def fast():
    from fastmcp import FastMCP

    server = FastMCP("fast")

    @server.tool
    def hello() -> str:
        return "hello from FastMCP"

    server.run()


def keeps_open():
    """What is opened around run() stays open as long as the server is served."""
    journal.append("pool open")
    try:
        _server("hello").run()
        journal.append("run returned")
    finally:
        journal.append("pool closed")


async def keeps_open_async():
    journal.append(f"pool open in {threading.current_thread().name}")
    try:
        await _server("hello").run_stdio_async()
        journal.append("run returned")
    finally:
        journal.append("pool closed")


def asks_itself():
    """It talks to a server inside its own process before it serves."""
    from fastmcp import Client, FastMCP

    server = FastMCP("asks itself")

    @server.tool
    def hello() -> str:
        return "hello from one that asked itself"

    async def serve():
        async with Client(server) as client:
            assert (await client.call_tool("hello")).data == "hello from one that asked itself"
        await server.run_async()

    asyncio.run(serve())


def returns_nothing():
    pass


def exits():
    sys.exit(3)


def raises():
    raise ConnectionError("no database")


async def hangs():
    await asyncio.Event().wait()


def hangs_in_a_thread():
    threading.Event().wait(20)


async def serves_two():
    async with anyio.create_task_group() as group:
        group.start_soon(_server("one").run_stdio_async)
        group.start_soon(_server("two").run_stdio_async)


def other_app():
    import uvicorn
    from starlette.applications import Starlette

    uvicorn.run(Starlette(), port=1)


async def run_inside_a_loop():
    _server("never").run()
