"""Real servers: ``erlmcp serve`` in its own process, on ports that the system chooses."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for authority: test modules stand in no package

START_TIMEOUT_S = 30.0
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}

GUEST = """
import asyncio, os, time
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("guest", version=os.environ.get("GUEST_VERSION", "0"))
if os.environ.get("GUEST_BROKEN"):
    print("looking for the database")
    raise RuntimeError("no database at " + os.environ["GUEST_BROKEN"])

@server.tool()
def who() -> str:
    return f"{os.getpid()} {os.environ.get('GUEST_VERSION', '0')}"

@server.tool()
def says(text: str) -> str:
    print(text, flush=True)
    return "said"

@server.tool()
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"

@server.tool()
async def block(seconds: float) -> str:
    print("blocking", flush=True)
    time.sleep(seconds)
    return "unblocked"

@server.tool()
def die() -> str:
    os._exit(7)

@server.tool()
async def leave(code: int) -> str:
    if code:
        raise SystemExit(code)
    return "stayed"

@server.tool()
async def announce(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "announced"

@server.tool()
def environment(name: str) -> str:
    return os.environ.get(name, "unset")
"""

DOOMED_GUEST = """
import asyncio, contextlib, os
from mcp.server import MCPServer

@contextlib.asynccontextmanager
async def lifespan(_):
    asyncio.get_running_loop().call_later(0.05, os._exit, 9)
    yield

server = MCPServer("doomed", lifespan=lifespan)
"""

HANGING_GUEST = """
import asyncio, contextlib
from mcp.server import MCPServer

@contextlib.asynccontextmanager
async def lifespan(_):
    print("waiting for the lock", flush=True)
    await asyncio.Event().wait()
    yield

server = MCPServer("hanging", lifespan=lifespan)
"""


def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true value of a condition, looked at often; fails when the time is over."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        pause.wait(0.02)
    raise AssertionError(f"not within {timeout_s} s: {condition}")


class Answer:
    """One HTTP answer."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=START_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _http(parts: SplitResult, dial, tls=None) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=START_TIMEOUT_S, context=tls)
    connection = http.client.HTTPConnection(host, port, timeout=START_TIMEOUT_S)
    connection._create_connection = dial  # the way that the standard library itself replaces in subclasses
    return connection


class McpConnection:
    """One kept HTTP connection to an MCP endpoint. It never sends a request twice."""

    def __init__(self, url: str, tls=None, token: str = "", dial=socket.create_connection) -> None:
        parts = urlsplit(url)
        self._credential = {"Authorization": f"Bearer {token}"} if token else {}
        self.path = parts.path or "/mcp"
        self.http = _http(parts, dial, tls)

    def send(self, method: str, params: dict[str, Any], request_id: Any = 1) -> None:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": method,
            **self._credential,
        }
        if "name" in params:
            headers["Mcp-Name"] = params["name"]
        body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": META}}
        self.http.request("POST", self.path, json.dumps(body), headers)

    def call(self, tool: str, **arguments: Any) -> str:
        """The text of a tool's result; anything else is an error."""
        self.send("tools/call", {"name": tool, "arguments": arguments})
        answer = Answer(self.http.getresponse())
        assert answer.status == 200, answer.body
        result = answer.json["result"]
        assert not result.get("isError"), result
        return result["content"][0]["text"]

    def handshake(self, method: str, params: dict[str, Any], session: str = "", **more: Any) -> Answer:
        """One request in the handshake era."""
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-11-25",
        }
        if session:
            headers["Mcp-Session-Id"] = session
        body = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        self.http.request("POST", self.path, json.dumps(body), headers)
        return Answer(self.http.getresponse())

    def close(self) -> None:
        self.http.close()


class ServerProcess:
    """``erlmcp serve`` as an operator starts it."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        target: str = "guest:server",
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
        dial=socket.create_connection,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._dial = dial
        self.folder = folder
        self.tls: ssl.SSLContext | None = None
        """With what to connect when it speaks TLS."""
        self.control = folder / "control.sock"
        (folder / "guest.py").write_text(GUEST)
        (folder / "doomed.py").write_text(DOOMED_GUEST)
        (folder / "hanging.py").write_text(HANGING_GUEST)
        command = [*prefix, sys.executable, "-m", "erlmcp.cli.main", "serve", target]
        if "--http" not in arguments:
            command += ["--http", "127.0.0.1:0"]
        command += ["--admin", "127.0.0.1:0", "--control", str(self.control), *arguments]
        self.token = ""
        """What its clients send, if anything."""
        self.lines: list[str] = []
        self._changed = threading.Condition()
        around = {**os.environ, **(env or {})}
        self.process = subprocess.Popen(
            command, cwd=folder, env=around, stdin=stdin, stderr=subprocess.PIPE, text=True
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def started(self) -> ServerProcess:
        """Wait for the line that says where it listens."""
        with self._changed:
            told = self._changed.wait_for(
                lambda: (
                    any(line.startswith("erlmcp ") for line in self.lines)
                    or not self._reading.is_alive()
                    or self.process.poll() is not None
                ),
                START_TIMEOUT_S,
            )
        line = next((line for line in self.lines if line.startswith("erlmcp ")), "")
        assert told, self.lines
        assert line, self.lines
        self.url = re.search(r"mcp (\S+?),", line)[1]
        self.admin = re.search(r"admin (\S+?),", line)[1]
        return self

    def events(self) -> list[dict[str, Any]]:
        """What was logged so far."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def connect(self, url: str = "") -> McpConnection:
        return McpConnection(url or self.url, self.tls, self.token, self._dial)

    def call(self, tool: str, **arguments: Any) -> str:
        """Call a tool over a new connection."""
        connection = self.connect()
        try:
            return connection.call(tool, **arguments)
        finally:
            connection.close()

    def read(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """Ask the admin listener."""
        connection = _http(urlsplit(self.admin), self._dial)
        try:
            connection.request(method, path, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def act(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the control socket."""
        connection = UnixConnection(self.control)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def stage(self, generation: str, **spec: Any) -> Answer:
        return self.act("PUT", f"/generations/{generation}", {"target": "guest:server", **spec})

    def activate(self, generation: str) -> Answer:
        return self.act("POST", f"/generations/{generation}/activate")

    def retire(self, generation: str) -> Answer:
        return self.act("DELETE", f"/generations/{generation}")

    def generation(self, generation: str) -> dict[str, Any]:
        return next(each for each in self.read("/generations").json if each["id"] == generation)

    def sample(self, name: str, **labels: str) -> float:
        """The sum of the samples of a metric that carry these labels."""
        total = 0.0
        for line in self.read("/metrics").body.decode().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name:
                carried = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if labels.items() <= carried.items():
                    total += float(found[3])
        return total

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM and the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 15.0) -> int:
        status = self.process.wait(timeout_s)
        self._reading.join(timeout_s)
        return status

    def kill(self) -> None:
        """Whatever happened, leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(5)
        self._reading.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(name="until")
def until_fixture():
    """Wait for a condition, with a bound."""
    return until


@pytest.fixture(scope="session")
def program():
    """Where a program of the system is. Without it the test is skipped here, and fails where CI=true."""

    def find(name: str, package: str, beside: Path | None = None) -> str:
        found = shutil.which(name) or (beside and shutil.which(str(beside)))
        if found is None:
            lacking = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            lacking(f"{name} is missing; install {package}")
        return found

    return find


@contextmanager
def servers_in(folder: Path) -> Iterator[Callable[..., ServerProcess]]:
    """A function that starts servers; all end with the context."""
    with ExitStack() as running:

        def start(*arguments: str, **options: Any) -> ServerProcess:
            server = ServerProcess(Path(mkdtemp(prefix="server", dir=folder)), *arguments, **options)
            running.callback(server.kill)
            return server

        yield start


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test."""
    with servers_in(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module(tmp_path_factory):
    """Start servers for every test of a file that leaves them as they were."""
    with servers_in(tmp_path_factory.mktemp("servers")) as start:
        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for every test that leaves it as it was, but for generations of its own."""
    running = ServerProcess(tmp_path_factory.mktemp("server"), "--version-label", "1.0.0")
    try:
        yield running.started()
    finally:
        running.stop()
        running.kill()
