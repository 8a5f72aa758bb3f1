"""Real servers with jobs, and a client on each transport."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test modules of this folder stand in no package

from task_clients import (
    DECLARED,
    GUESTS,
    LIMIT_S,
    Client,
    HttpClient,
    Refused,
    StdioClient,
    TcpClient,
    WebSocketClient,
)

TRANSPORTS = ("http", "websocket", "tcp", "stdio")
KINDS = ("on_sdk", "on_fastmcp")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """One ``erlmcp serve`` with jobs."""

    def __init__(self, folder: Path, kind: str, *, workers: int = 1, **config: Any) -> None:
        lines = [f"{key} = {value}" for key, value in config.items() if not isinstance(value, dict)]
        for section, values in config.items():
            if isinstance(values, dict):
                lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        self.config = folder / "erlmcp.toml"
        self.config.write_text("\n".join(lines) + "\n")
        self.kind = kind
        self.target = f"{GUESTS / kind}.py:server"
        self.tcp = ("127.0.0.1", free_port())
        self.control = folder / "control.sock"
        command = [sys.executable, "-m", "erlmcp.cli.main", "serve", self.target, "--http", "127.0.0.1:0"]
        command += ["--tcp", f"127.0.0.1:{self.tcp[1]}", "--admin", "127.0.0.1:0"]
        command += ["--control", str(self.control), "--config", str(self.config), "--workers", str(workers)]
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(GUESTS)}, stderr=self.log, text=True
        )
        self.url = self._wait_for(r"mcp (\S+?),")
        self.admin = self._wait_for(r"admin (\S+?),")
        self._stack = ExitStack()

    def _wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + LIMIT_S * 2
        while True:
            text = Path(self.log.name).read_text()
            found = re.search(r"^erlmcp .*" + pattern, text, re.MULTILINE)
            if found:
                return found[1]
            assert self.process.poll() is None, text
            assert time.monotonic() < deadline, text
            threading.Event().wait(0.02)

    def client(self, transport: str = "http") -> Any:
        """A new client; it is closed with the server."""
        client: Client
        if transport == "http":
            client = HttpClient(self.url)
        elif transport == "tcp":
            client = TcpClient(*self.tcp)
        elif transport == "websocket":
            client = WebSocketClient(self.url)
        else:
            client = StdioClient(self.target, "--config", str(self.config))
        self._stack.callback(client.close)
        return client

    def at(self, wanted: Any, transport: str = "http") -> Any:
        """A client of a worker whose process id fulfils a condition."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            client = self.client(transport)
            client.pid = int(client.call("who")["content"][0]["text"])
            if wanted(client.pid):
                return client
        raise AssertionError("no worker fulfils the condition")

    def act(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the control socket; status and JSON."""
        connection = http.client.HTTPConnection("localhost", timeout=LIMIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT_S)
        connection.sock.connect(str(self.control))
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        found = response.status, json.loads(response.read() or b"null")
        connection.close()
        return found

    def generation(self, generation_id: str) -> dict[str, Any]:
        parts = urlsplit(self.admin)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT_S)
        connection.request("GET", "/generations")
        found = json.loads(connection.getresponse().read())
        connection.close()
        return next(each for each in found if each["id"] == generation_id)

    def close(self) -> None:
        self._stack.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture
def serve_jobs(tmp_path):
    """Start servers that end with the test."""
    with ExitStack() as stack:

        def start(kind: str = "on_sdk", **options: Any) -> Served:
            served = Served(tmp_path, kind, drain_timeout_s=5, **options)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture(scope="module")
def served_of(tmp_path_factory):
    """The server with the jobs of one kind; one for all tests of a module."""
    with ExitStack() as stack:
        running: dict[str, Served] = {}

        def find(kind: str) -> Served:
            if kind not in running:
                served = running[kind] = Served(tmp_path_factory.mktemp(kind), kind, drain_timeout_s=1)
                stack.callback(served.close)
            return running[kind]

        yield find


@pytest.fixture(scope="module")
def kept_clients():
    """Clients that are processes, one for all tests of a module."""
    return {}


@pytest.fixture(params=[(transport, kind) for kind in KINDS for transport in TRANSPORTS], ids="-".join)
def client(request, served_of, kept_clients):
    """A client on each transport, to each kind of guest."""
    transport, kind = request.param
    if transport != "stdio":
        return served_of(kind).client(transport)
    if kind not in kept_clients:
        kept_clients[kind] = served_of(kind).client(transport)
    kept = kept_clients[kind]
    kept.capabilities = DECLARED
    kept.unlisten()
    return kept


@pytest.fixture
def refused():
    """The error of a request that is refused."""

    def run(act: Any, *arguments: Any, **named: Any) -> Refused:
        with pytest.raises(Refused) as caught:
            act(*arguments, **named)
        return caught.value

    return run


@pytest.fixture(scope="module")
def served_pair():
    """Start a server with two workers that lasts as long as the module."""
    with ExitStack() as stack:

        def start(folder: Path) -> Served:
            served = Served(folder, "on_sdk", workers=2, drain_timeout_s=1)
            stack.callback(served.close)
            return served

        yield start


@pytest.fixture
def until():
    """Wait in the loop for a condition, within a bound."""

    async def run(condition: Any) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110 - the condition is anything a test can look at
                await asyncio.sleep(0.005)

    return run
