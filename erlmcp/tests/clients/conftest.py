"""Servers that all clients of this folder do their round with, and the clients written for node."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # test modules of this folder stand in no package

from round_lanes import GUESTS
from round_node import Node, NotInstalledError

FOLDER = Path(__file__).parent / "guests"
LIMIT_S = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of a condition, looked at often."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
        threading.Event().wait(0.02)
    return value


class Served:
    """``erlmcp serve`` with two workers and one of the guests."""

    def __init__(self, folder: Path, guest: str) -> None:
        self.target = f"{FOLDER / guest}.py:server"
        command = [sys.executable, "-m", "erlmcp.cli.main", "serve", self.target, "--http", "127.0.0.1:0"]
        command += ["--admin", "127.0.0.1:0", "--control", str(folder / "control.sock"), "--workers", "2"]
        self._log = folder / "log"
        with self._log.open("w") as log:
            env = {**os.environ, "PYTHONPATH": str(FOLDER)}
            self.process = subprocess.Popen(command, cwd=folder, env=env, stderr=log, stdout=log)
        self.url = until(self._announced, "the server has started")

    def _announced(self) -> str:
        assert self.process.poll() is None, self.log
        found = re.search(r"^erlmcp .*mcp (\S+?),", self.log, re.MULTILINE)
        return found[1] if found else ""

    @property
    def log(self) -> str:
        return self._log.read_text()

    def errors(self) -> list[str]:
        """What the server has logged as its own fault."""
        return [line for line in self.log.splitlines() if '"level": "error"' in line]

    def address(self, transport: str) -> str:
        """Where a transport is served."""
        base = self.url.removesuffix("/mcp")
        places = {"http": self.url, "sse": f"{base}/sse", "websocket": f"ws{base.removeprefix('http')}/ws"}
        return places.get(transport, "")

    def status_of_session(self, session: str) -> int:
        """The status of a request in a session, seen without any client's library."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT_S)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": session,
        }
        try:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
            connection.request("POST", parts.path, body, headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        finally:
            self.process.kill()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A function from the name of a guest to its server; each is started once."""
    running: dict[str, Served] = {}

    def of(guest: str) -> Served:
        assert guest in GUESTS
        if guest not in running:
            running[guest] = Served(tmp_path_factory.mktemp(guest), guest)
        return running[guest]

    yield of
    for server in running.values():
        server.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """Node and the clients written for it; unit tests download nothing."""
    try:
        return Node(tmp_path_factory.mktemp("node"))
    except NotInstalledError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture
def wait_until():
    """Wait for a condition, with a bound."""
    return until
