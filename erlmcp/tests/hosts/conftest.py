"""Real Redis servers, and servers of ours that share one."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

GUEST = f"{Path(__file__).parents[1] / 'supervisor' / 'guests' / 'sessions.py'}:server"
TIMEOUT_S = 1.0
"""What the tests set: a host or Redis that is silent so long counts as gone."""


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is missing; install {package}")
        pytest.skip(f"{name} is missing; install {package}")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class RedisServer:
    """A Redis server that keeps nothing; it can be stopped, frozen and started again at the same place."""

    def __init__(self, folder: Path, until, *options: str, host: str = "127.0.0.1", prefix=()) -> None:
        self._command = [*prefix, program("redis-server", "redis-server")]
        self._folder = folder
        self._until = until
        self._options = options
        self.host = host
        self.port = free_port()
        self.url = f"redis://{host}:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", self.host, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*self._command, *options, "--protected-mode", "no", *self._options],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def redis(tmp_path, until):
    server = RedisServer(tmp_path, until)
    yield server
    server.kill()


@pytest.fixture
def secured_redis(tmp_path, until):
    server = RedisServer(tmp_path, until, "--requirepass", "swordfish-of-the-test")
    yield server
    server.kill()


@pytest.fixture
def keys_file(tmp_path):
    file = tmp_path / "session.keys"
    file.write_text(secrets.token_hex(32))
    file.chmod(0o600)
    return file


@pytest.fixture
def host(serve, redis, keys_file):
    """Start a server that shares Redis with the others."""

    def start(*arguments: str, env: dict[str, str] | None = None, url: str = "", **options):
        shared = {
            "ERLMCP_SESSION_KEYS_FILE": str(keys_file),
            "ERLMCP_BUS__URL": url or redis.url,
            "ERLMCP_BUS__TIMEOUT_S": str(TIMEOUT_S),
        }
        return serve(
            *arguments, target=options.pop("target", GUEST), env={**shared, **(env or {})}, **options
        )

    return start


@pytest.fixture
def pair(host, until):
    """Two hosts that hear each other."""
    found = [host(), host()]
    for each in found:
        each.started()
    until(lambda: all(hears(each, 1) for each in found))
    return found


def bus(server) -> dict:
    """What a server says about its bus."""
    components = server.read("/ready").json["components"]
    return next(each for each in components if each["name"] == "bus")


def hears(server, others: int) -> bool:
    """Whether a server hears so many other hosts, and itself."""
    found = bus(server)
    return found["status"] == "up" and found["detail"].startswith(f"{others} other hosts")


class Tools:
    bus = staticmethod(bus)
    hears = staticmethod(hears)
    Session = None


class Session:
    """A handshake session that may be used at any host."""

    def __init__(self, server) -> None:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"roots": {}},
            "clientInfo": {"name": "t", "version": "1"},
        }
        self.id = server.connect().handshake("initialize", params, id=1).headers["mcp-session-id"]

    def ask(self, server, method, **params):
        return server.connect().handshake(method, params, self.id, id=2)

    def call(self, server, tool, **arguments):
        return self.ask(server, "tools/call", name=tool, arguments=arguments)

    def send(self, server, message):
        """POST a message; the connection, whose answer has not been read."""
        connection = server.connect()
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": self.id,
        }
        connection.http.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", **message}), headers)
        return connection

    def begin(self, server, tool, **arguments):
        """Call a tool; the connection, whose answer has not been read."""
        params = {"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}
        return self.send(server, {"id": "call", "method": "tools/call", "params": params})

    def stream(self, server, last_event_id: str = ""):
        """The answer to a GET, open."""
        connection = server.connect()
        headers = {"Accept": "text/event-stream", "Mcp-Session-Id": self.id}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        connection.http.request("GET", "/mcp", headers=headers)
        response = connection.http.getresponse()
        assert response.status == 200, response.read()
        return response

    def delete(self, server) -> int:
        connection = server.connect()
        connection.http.request("DELETE", "/mcp", headers={"Mcp-Session-Id": self.id})
        return connection.http.getresponse().status


def next_message(stream):
    """The next JSON-RPC message of an event stream."""
    while line := stream.readline():
        if line.startswith(b"data:") and line[5:].strip():
            return json.loads(line[5:])
    raise AssertionError("the stream has ended")


def last_id(stream) -> str:
    """The id of the last event of a stream that ends."""
    return [line[4:].strip().decode() for line in stream.read().splitlines() if line.startswith(b"id: ")][-1]


def listen(server, **wanted):
    """An open listen stream of the modern era, acknowledged."""
    connection = server.connect()
    connection.send("subscriptions/listen", {"notifications": wanted}, request_id="sub")
    stream = connection.http.getresponse()
    assert next_message(stream)["method"] == "notifications/subscriptions/acknowledged"
    return stream


@pytest.fixture
def tools():
    """The building blocks of this file, for tests that cannot import it."""
    Tools.Session = Session
    Tools.next_message = staticmethod(next_message)
    Tools.last_id = staticmethod(last_id)
    Tools.listen = staticmethod(listen)
    Tools.RedisServer = RedisServer
    return Tools
