"""``erlmcp stdio`` as clients start it: clean output, an end with the input, the official client over it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

LIMIT_S = 60.0
GUEST = """
import os, subprocess, sys
from mcp.server import MCPServer
from pydantic import BaseModel
print("printed at import")
server = MCPServer("loud", version="3")

@server.tool()
def shout(text: str) -> str:
    print(text, flush=True)
    os.write(1, b"written to descriptor 1")
    subprocess.run([sys.executable, "-c", "print('from a child'); import sys; print(len(sys.stdin.read()))"])
    return text.upper()

@server.tool()
async def block() -> str:
    import time
    time.sleep(0.6)
    return "unblocked"

@server.tool()
async def hang() -> str:
    import asyncio
    await asyncio.sleep(600)
    return "never"
"""
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
COMMAND = [sys.executable, "-m", "erlmcp.cli.main", "stdio", "loud:server"]


def request(method, request_id, **params):
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": META}}
    return json.dumps(body) + "\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "loud.py").write_text(GUEST)
    return tmp_path


@pytest.fixture
def started(folder):
    running = subprocess.Popen(
        COMMAND, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield running
    running.kill()
    running.communicate(timeout=10)


def call(process, method, request_id, **params):
    process.stdin.write(request(method, request_id, **params))
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@pytest.mark.behaviour("stdio.only-messages-on-the-output", transport="stdio", era="any")
def test_only_messages_go_to_the_output_whatever_the_guest_and_its_children_print(folder):
    lines = request("tools/call", 1, name="shout", arguments={"text": "hey"})
    ran = subprocess.run(
        COMMAND, cwd=folder, input=lines, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    (answer,) = [json.loads(line) for line in ran.stdout.splitlines()]
    assert answer["result"]["content"][0]["text"] == "HEY"
    assert ran.returncode == 0
    for loud in ("printed at import", "hey", "written to descriptor 1", "from a child"):
        assert loud in ran.stderr


def test_files_serve_as_input_and_output(folder):
    asked, answered = folder / "asked", folder / "answered"
    asked.write_text(request("tools/list", 1) + request("server/discover", 2))
    with asked.open() as source, answered.open("w") as target:
        ran = subprocess.run(COMMAND, cwd=folder, stdin=source, stdout=target, timeout=LIMIT_S, check=False)
    assert ran.returncode == 0
    assert {json.loads(line)["id"] for line in answered.read_text().splitlines()} == {1, 2}


@pytest.mark.behaviour("stdio.end-of-input", transport="stdio", era="any")
def test_the_end_of_the_input_ends_it_at_once_even_while_a_call_hangs(started):
    assert call(started, "tools/list", 1)["id"] == 1
    started.stdin.write(request("tools/call", 2, name="hang", arguments={}))
    started.stdin.close()
    started.stdin = None
    assert started.wait(10) == 0


@pytest.mark.behaviour("blocked.named", transport="stdio", era="any")
def test_a_blocked_loop_is_named_on_standard_error_and_the_process_stays(folder):
    env = {**os.environ, "ERLMCP_LOOP_BLOCKED_WARN_S": "0.2", "ERLMCP_LOOP_BLOCKED_EXIT_S": "0.3"}
    lines = request("tools/call", 1, name="block", arguments={}) + request("tools/list", 2)
    with subprocess.Popen(COMMAND, cwd=folder, env=env, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        process.stdin.write(lines)
        process.stdin.flush()
        assert {json.loads(process.stdout.readline())["id"] for _ in range(2)} == {1, 2}
        _, told = process.communicate(timeout=LIMIT_S)
    events = [json.loads(line) for line in told.splitlines() if "event-loop" in line]
    assert [(line["event"], line["tool"]) for line in events] == [("event-loop.blocked", "block")]


@pytest.mark.behaviour("stdio.signals", transport="stdio", era="any")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(started, number):
    assert call(started, "tools/list", 1)["id"] == 1
    started.send_signal(number)
    assert started.wait(10) == 0


def test_a_guest_that_cannot_be_loaded_is_an_error_on_standard_error_and_nothing_on_the_output(folder):
    ran = subprocess.run(
        [*COMMAND[:-1], "loud:nothing"],
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "error[guest.not-found]" in ran.stderr


@pytest.mark.behaviour("clients.official-over-stdio", transport="stdio", era="any")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_does_its_round(folder, quiet, mode):
    server = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], cwd=folder, env=dict(os.environ))
    async with Client(stdio_client(server, errlog=quiet), mode=mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["shout", "block", "hang"]
        result = await client.call_tool("shout", {"text": "hey"})
        assert result.content[0].text == "HEY"
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")


@pytest.fixture
def quiet():
    with Path(os.devnull).open("w") as nowhere:
        yield nowhere


@pytest.fixture
def anyio_backend():
    return "asyncio"
