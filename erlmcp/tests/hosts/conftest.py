"""Real Redis servers, and servers of ours that share one."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

GUEST = f"{Path(__file__).parents[1] / 'supervisor' / 'guests' / 'sessions.py'}:server"
TIMEOUT_S = 2.0
"""What the tests set: a host or Redis that is silent so long counts as gone."""
CLONE_NEWNET = 0x40000000


class Namespace:
    """A network of its own, with a loopback device, in which programs and sockets can be."""

    def __init__(self, name: str, ip: str) -> None:
        self.name = f"erlmcp-{os.getpid()}-{name}"
        self.prefix = (ip, "netns", "exec", self.name)
        self._ip = ip
        run(ip, "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> None:
        run(self._ip, "-n", self.name, *arguments)

    def dial(self, *arguments, **options) -> socket.socket:
        """A connection from inside; as ``socket.create_connection``."""
        with ThreadPoolExecutor(1) as thread:  # a thread of its own: it never leaves the namespace
            return thread.submit(self._dial, arguments, options).result()

    def _dial(self, arguments, options) -> socket.socket:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open() as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return socket.create_connection(*arguments, **options)

    def delete(self) -> None:
        run(self._ip, "netns", "delete", self.name)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture
def network(program):
    """Two hosts, each with a cable to a third on which Redis runs; the names of the namespaces' ends."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces can only be made by root")
    found: dict[str, Namespace] = {}
    ip = program("ip", "iproute2")
    try:
        try:
            for name in ("hub", "one", "two"):
                found[name] = Namespace(name, ip)
        except subprocess.CalledProcessError as fault:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"network namespaces cannot be made here: {fault.stderr.strip()}")
        for number, name in ((1, "one"), (2, "two")):
            found["hub"].ip("link", "add", name, "type", "veth", "peer", "eth0", "netns", found[name].name)
            found["hub"].ip("address", "add", f"10.97.{number}.1/30", "dev", name)
            found[name].ip("address", "add", f"10.97.{number}.2/30", "dev", "eth0")
            found["hub"].ip("link", "set", name, "up")
            found[name].ip("link", "set", "eth0", "up")
        yield found
    finally:
        for namespace in found.values():
            namespace.delete()


@pytest.fixture
def networked(network, serve, tmp_path, until, keys_file, redis_server):
    """Two servers in their namespaces that share Redis in a third; the way to cut a cable."""
    redis = RedisServer(tmp_path, [*network["hub"].prefix, redis_server], host="0.0.0.0")
    servers = []
    try:
        for number, name in ((1, "one"), (2, "two")):
            env = shared_environment(f"redis://10.97.{number}.1:{redis.port}/0", keys_file)
            inside = {"prefix": network[name].prefix, "dial": network[name].dial}
            servers.append(serve("--workers", "2", target=GUEST, env=env, **inside))
        for each in servers:
            each.started()
        until(lambda: all(hears(each, 1) for each in servers))
        yield servers, lambda name, state: network["hub"].ip("link", "set", name, state)
    finally:
        for each in servers:
            each.kill()
        redis.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class RedisServer:
    """A Redis server that keeps nothing; it can be stopped, frozen and started again at the same place."""

    def __init__(self, folder: Path, program: Sequence[str], *options: str, host: str = "127.0.0.1") -> None:
        self._command = [*program]
        self._folder = folder
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


@pytest.fixture(scope="session")
def redis_server(program):
    return program("redis-server", "redis-server")


@pytest.fixture(name="until")
def patient_until(until):
    """Several processes have to notice something, each in its own time."""
    return partial(until, timeout_s=30)


@pytest.fixture
def redis(tmp_path, redis_server):
    server = RedisServer(tmp_path, [redis_server])
    yield server
    server.kill()


@pytest.fixture
def secured_redis(tmp_path, redis_server):
    server = RedisServer(tmp_path, [redis_server], "--requirepass", "swordfish-of-the-test")
    yield server
    server.kill()


@pytest.fixture
def keys_file(tmp_path):
    return new_keys_file(tmp_path)


def new_keys_file(folder: Path) -> Path:
    file = folder / "session.keys"
    file.write_text(secrets.token_hex(32))
    file.chmod(0o600)
    return file


def shared_environment(url: str, keys_file: Path) -> dict[str, str]:
    return {
        "ERLMCP_SESSION_KEYS_FILE": str(keys_file),
        "ERLMCP_BUS__URL": url,
        "ERLMCP_BUS__TIMEOUT_S": str(TIMEOUT_S),
    }


@pytest.fixture
def host(serve, redis, keys_file):
    """Start a server that shares Redis with the others."""

    def start(*arguments: str, env: dict[str, str] | None = None, url: str = "", **options):
        shared = shared_environment(url or redis.url, keys_file)
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


@pytest.fixture(scope="module")
def kept_pair(serve_for_module, tmp_path_factory, redis_server):
    """The same for every test of a file that leaves them as they were."""
    folder = tmp_path_factory.mktemp("shared")
    redis = RedisServer(folder, [redis_server])
    env = shared_environment(redis.url, new_keys_file(folder))
    try:
        found = [serve_for_module(target=GUEST, env=env) for _ in range(2)]
        for each in found:
            each.started()
        yield found
    finally:
        redis.kill()


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


def task_request(server, method: str, about: str, **params):
    """One request of a modern client that knows tasks."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {
            "extensions": {"io.modelcontextprotocol/tasks": {}},
        },
    }
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        "Mcp-Name": about,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    connection = server.connect()
    connection.http.request("POST", "/mcp", json.dumps(body), headers)
    return json.loads(connection.http.getresponse().read())


@pytest.fixture
def tools():
    """The building blocks of this file, for tests that cannot import it."""
    Tools.Session = Session
    Tools.next_message = staticmethod(next_message)
    Tools.last_id = staticmethod(last_id)
    Tools.listen = staticmethod(listen)
    Tools.task_request = staticmethod(task_request)
    Tools.RedisServer = RedisServer
    return Tools
