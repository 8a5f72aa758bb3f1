"""Whatever people have is served: every shape of target, by one body, for real."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import signal
import socket
import sys
from contextlib import asynccontextmanager

import anyio
import mcp.server.stdio
import pytest
from mcp.server.lowlevel.server import Server
from mcp.server.mcpserver import MCPServer

from erlmcp.config.schema import Settings
from erlmcp.dispatch.errors import GuestError
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime

COMMAND = "mcp-server-of-the-tests"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}

SHAPES = {
    # target, arguments: what its tool says
    ("plain_object:server", ()): "hello from an object",
    ("plain_object:inside.deep.server", ()): "hello from an object",
    ("{guests}/plain_object.py:server", ()): "hello from an object",
    ("holders:application", ()): "hello from a holder",
    ("holders:Application", ()): "hello from a holder",
    ("holders:both.app", ()): "hello from two",
    ("factories:create_server", ()): "hello from a factory",
    ("factories:create_async", ()): "hello from an async factory",
    ("factories:application", ()): "hello from a function",
    ("mains:run", ()): "hello from run",
    ("mains:run_http", ()): "hello from run over http",
    ("mains:asyncio_run", ()): "hello from asyncio.run",
    ("mains:run_async", ()): "hello from a coroutine",
    ("mains:anyio_run", ()): "hello from anyio.run",
    ("mains:old_loop", ()): "hello from an old loop",
    ("mains:current_loop", ()): "hello from the current loop",
    ("mains:low_level", ()): "hello from the low level",
    ("mains:uvicorn_app", ()): "hello from uvicorn",
    ("mains:registers", ()): "hello from main's own",
    ("mains:parses", ("--name", "an argument")): "hello from an argument",
    ("mains:signals", ()): "hello from one with signals",
    ("mains:fast", ()): "hello from FastMCP",
    ("mains:asks_itself", ()): "hello from one that asked itself",
    ("{guests}/mains.py:run", ()): "hello from run",
    ("{guests}/script.py", ()): "hello from a script",
    ("{guests}/script.py", ("an argument",)): "hello from an argument",
    ("{guests}/unfinished_script.py", ()): "hello from a script that never runs it",
    ("reads_arguments:server", ("--name", "import time")): "hello from import time",
    (COMMAND, ("--repository", "a command")): "hello from a command",
    ("mcp-group", ()): "hello from a group",
}


@pytest.fixture
def anyio_backend():
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture
async def start(anyio_backend, guests, site, process_state, monkeypatch):
    """A function that starts a runtime on a target; a context, so that it can be left in the test."""
    monkeypatch.syspath_prepend(str(guests))
    monkeypatch.syspath_prepend(str(site))

    @asynccontextmanager
    async def started(target, arguments=(), *, start_timeout_s=20.0, **more):
        runtime = await GuestRuntime.start(
            target.format(guests=guests),
            settings=Settings(start_timeout_s=start_timeout_s),
            keys=KeyRing([KeyRing.generate()]),
            bus=LocalBus(),
            meter=Meter(),
            arguments=arguments,
            **more,
        )
        try:
            yield runtime
        finally:
            await runtime.close()

    return started


async def say(runtime) -> str:
    """What the guest's tool answers over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        runtime.listen(sock, "public")
        try:
            return await asyncio.to_thread(_call, sock.getsockname()[1])
        finally:
            runtime.stop_listening("public")


def _call(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    params = {"name": "hello", "arguments": {}, "_meta": META}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "hello",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    try:
        connection.request("POST", "/mcp", json.dumps(body), headers)
        return json.loads(connection.getresponse().read())["result"]["content"][0]["text"]
    finally:
        connection.close()


@pytest.mark.anyio
@pytest.mark.parametrize(("shape", "said"), SHAPES.items(), ids=[" ".join([t, *a]) for t, a in SHAPES])
async def test_every_shape_of_target_is_served(start, shape, said, caplog):
    target, arguments = shape
    async with asyncio.timeout(30), start(target, arguments) as runtime:
        assert await say(runtime) == said
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.anyio
async def test_a_factory_that_is_called_one_runs_in_the_loop_that_serves(start):
    async with start("factories:bound", factory=True) as runtime:
        assert await say(runtime) == "hello from a factory in the loop"
    with pytest.raises(GuestError) as told:
        async with start("factories:bound"):  # nothing says what it is: it gets a thread, which has no loop
            pass
    assert told.value.error_id == "guest.start-failed"


@pytest.mark.anyio
@pytest.mark.parametrize("function", ["keeps_open", "keeps_open_async"])
async def test_what_main_opened_stays_open_until_the_server_is_served_no_more(start, function):
    async with start(f"mains:{function}") as runtime:
        journal = sys.modules["mains"].journal
        assert await say(runtime) in {"hello, pool entered", "hello"}
        assert journal[0].startswith("pool open")
        assert journal[1:] == ["lifespan entered"]
    assert journal[1:] == ["lifespan entered", "lifespan left", "run returned", "pool closed"]


@pytest.mark.anyio
async def test_nothing_is_left_replaced_while_a_guest_is_served_or_after_it_failed(start):
    def replaceable():
        return (
            vars(MCPServer)["run"],
            vars(MCPServer)["run_stdio_async"],
            vars(MCPServer)["streamable_http_app"],
            Server.run,
            mcp.server.stdio.stdio_server,
            asyncio.Runner.run,
            asyncio.BaseEventLoop.run_until_complete,
            signal.signal,
        )

    before = replaceable()
    async with start("mains:run"):
        assert replaceable() == before
    with pytest.raises(GuestError):
        async with start("mains:raises"):
            pass
    assert replaceable() == before


BROKEN = {
    "plain_object:nothing": ("guest.not-found", "the module has: "),
    "plain_object:number": ("guest.wrong-type", "int"),
    "nowhere:server": ("guest.not-found", "nowhere"),
    "nowhere.py:server": ("guest.not-found", "nowhere.py"),
    "nowhere.py": ("guest.not-found", "nowhere.py"),
    "mcp-server-of-the-test": ("guest.not-found", "perhaps mcp-server-of-the-tests"),
    "no such: thing": ("guest.bad-target", "package.module:object"),
    "holders:both": ("guest.ambiguous", "got server, app"),
    "holders:Both": ("guest.ambiguous", "got server, app"),
    "factories:create_for": ("guest.needs-arguments", "folder, name"),
    "factories:create_nothing": ("guest.wrong-type", "int"),
    "factories:create_and_run": ("guest.start-failed", "does not run it"),
    "mains:returns_nothing": ("guest.no-server", "NoneType"),
    "mains:exits": ("guest.no-server", "exit status 3"),
    "mains:raises": ("guest.start-failed", "ConnectionError: no database"),
    "mains:serves_two": ("guest.ambiguous", "two servers"),
    "mains:other_app": ("guest.no-server", "an HTTP application of its own"),
    "mains:run_inside_a_loop": ("guest.start-failed", "inside a running event loop"),
    "mains:parses": ("guest.no-server", "exit status 2"),
    "reads_arguments:server": ("guest.import-failed", "exit status 2"),
    "for_mcp_1:mcp": ("guest.sdk-too-old", "written for mcp 1"),
    "mcp-old": ("guest.sdk-too-old", "written for mcp 1"),
    "mcp-needs": ("guest.needs-arguments", "folder"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("target", BROKEN)
async def test_what_cannot_be_served_is_told_with_an_id_and_what_to_do(start, target):
    error_id, text = BROKEN[target]
    with pytest.raises(GuestError) as told:
        async with asyncio.timeout(20), start(target):
            pass
    fault = told.value
    assert fault.error_id == error_id, fault
    assert text in f"{fault.message} {fault.hint}"
    assert fault.hint


@pytest.mark.anyio
@pytest.mark.parametrize("target", ["mains:hangs", "mains:hangs_in_a_thread"])
async def test_a_main_that_never_serves_is_told_within_the_time_to_start(start, target):
    began = anyio.current_time()
    with pytest.raises(GuestError) as told:
        async with start(target, start_timeout_s=1.0):
            pass
    assert told.value.error_id == "guest.never-served"
    assert anyio.current_time() - began < 1.0


@pytest.mark.anyio
@pytest.mark.parametrize("target", ["empty:server", "empty:low", "mains:early"])
async def test_a_server_with_nothing_registered_is_warned_of(start, target, caplog):
    async with start(target):
        pass
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 1
    assert "guest.nothing-registered" in warned[0]
