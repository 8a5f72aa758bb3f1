"""One small client for each transport and era, all with the same two verbs. None retries anything."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

LIMIT_S = 15.0
GUESTS = Path(__file__).parent / "guests"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
CELLS = [
    ("http", "modern"),
    ("http", "handshake"),
    ("tcp", "modern"),
    ("tcp", "handshake"),
    ("websocket", "modern"),
    ("websocket", "handshake"),
    ("sse", "handshake"),
    ("stdio", "modern"),
    ("stdio", "handshake"),
]
SERVED_CELLS = [cell for cell in CELLS if cell[0] != "stdio"]
"""Those of ``erlmcp serve``, whose workers are replaced."""


class Ended(Exception):  # noqa: N818 - it is what a test waits for
    """The server has ended the connection."""


class Client:
    """One client: ``send`` a request, ``receive`` the next answer."""

    def __init__(self, era: str) -> None:
        self.era = era
        self._ids = itertools.count(1)

    def send(self, method: str, **params: Any) -> int:
        """Send a request; its id."""
        number = next(self._ids)
        if self.era == "modern":
            params["_meta"] = META
        self.write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def receive(self) -> dict[str, Any]:
        """The next answer; notifications are passed over."""
        while True:
            message = self.read()
            if "id" in message:
                return message

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = self.send(method, **params)
        answer = self.receive()
        assert answer["id"] == number, answer
        return answer

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a tool: ``result`` or ``error``."""
        return self.ask("tools/call", name=tool, arguments=arguments)

    def text(self, tool: str, **arguments: Any) -> str:
        answer = self.call(tool, **arguments)
        assert not answer["result"].get("isError"), answer
        return str(answer["result"]["content"][0]["text"])

    def shake_hands(self) -> None:
        if self.era == "handshake":
            client = {"name": "raw", "version": "0"}
            version = "2024-11-05" if isinstance(self, SseClient) else "2025-11-25"
            params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client}
            self.write({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
            assert "result" in self.receive()
            self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def write(self, message: dict[str, Any]) -> None:
        raise NotImplementedError

    def read(self) -> dict[str, Any]:
        """The next message. Raises Ended."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class HttpClient(Client):
    """One kept connection; an answer must be read before the next request."""

    def __init__(self, url: str, era: str) -> None:
        super().__init__(era)
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=LIMIT_S)
        self._session = ""
        self.status = 0
        self._found: list[dict[str, Any]] = []

    def write(self, message: dict[str, Any]) -> None:
        fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        params = message.get("params", {})
        if self.era == "modern":
            fields |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": message["method"]}
            if "name" in params:
                fields["Mcp-Name"] = params["name"]
        elif self._session:
            fields |= {"Mcp-Session-Id": self._session, "MCP-Protocol-Version": "2025-11-25"}
        self._http.request("POST", "/mcp", json.dumps(message), fields)
        if "id" not in message:
            self._take()

    def reconnect(self) -> None:
        """Go on with the same session on a new connection."""
        self._http.close()

    def read(self) -> dict[str, Any]:
        if not self._found:
            self._take()
        return self._found.pop(0)

    def _take(self) -> None:
        try:
            answer = self._http.getresponse()
            body = answer.read()
        except (http.client.HTTPException, ConnectionError) as fault:
            raise Ended from fault
        self.status = answer.status
        self._session = answer.getheader("Mcp-Session-Id") or self._session
        if answer.getheader("Content-Type", "").startswith("text/event-stream"):
            datas = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
            if not datas:
                raise Ended
            self._found += [json.loads(data) for data in datas]
        elif body:
            self._found.append(json.loads(body))

    def close(self) -> None:
        self._http.close()


class LineClient(Client):
    """JSON lines over two files."""

    def __init__(self, reader: Any, writer: Any, era: str) -> None:
        super().__init__(era)
        self._reader = reader
        self._writer = writer

    def write(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")
        self._writer.flush()

    def read(self) -> dict[str, Any]:
        try:
            line = self._reader.readline()
        except ConnectionError as fault:
            raise Ended from fault
        if not line:
            raise Ended
        return dict(json.loads(line))

    def close(self) -> None:
        self._reader.close()


class TcpClient(LineClient):
    def __init__(self, port: int, era: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        file = self._sock.makefile("rwb")
        super().__init__(file, file, era)

    def close(self) -> None:
        self._sock.close()


class StdioClient(LineClient):
    """``erlmcp stdio`` as a client starts it."""

    def __init__(self, target: str, era: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "erlmcp.cli.main", "stdio", target],
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        super().__init__(self.process.stdout, self.process.stdin, era)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=LIMIT_S)


class WebSocketClient(Client):
    def __init__(self, url: str, era: str) -> None:
        super().__init__(era)
        address = re.sub(r"^http(.*)/mcp$", r"ws\1/ws", url)
        self._socket = connect_websocket(
            address, subprotocols=["mcp"], proxy=None, max_size=None, legacy=True
        )

    def write(self, message: dict[str, Any]) -> None:
        self._socket.send(json.dumps(message))

    def read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._socket.recv(LIMIT_S)))
        except ConnectionClosed as fault:
            raise Ended from fault

    def close(self) -> None:
        self._socket.close()


class SseClient(Client):
    """The stream of 2024-11-05, and a new connection for each POST."""

    def __init__(self, url: str) -> None:
        super().__init__("handshake")
        parts = urlsplit(url)
        self._place = (parts.hostname or "", parts.port)
        self._http = http.client.HTTPConnection(*self._place, timeout=LIMIT_S)
        self._http.request("GET", "/sse", headers={"Accept": "text/event-stream"})
        self._stream = self._http.getresponse()
        self._address = self._event()

    def _event(self) -> str:
        try:
            while line := self._stream.readline():
                if line.startswith(b"data: "):
                    return line[6:].decode().strip()
        except (http.client.HTTPException, ConnectionError) as fault:
            raise Ended from fault
        raise Ended

    def write(self, message: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection(*self._place, timeout=LIMIT_S)
        fields = {"Content-Type": "application/json"}
        connection.request("POST", self._address, json.dumps(message), fields)
        assert connection.getresponse().status == 202
        connection.close()

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self._event()))

    def close(self) -> None:
        self._http.close()


class Unruly:
    """A running server of an unruly guest, and its clients."""

    def __init__(self, serve: Any, guest: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.target = f"{GUESTS / guest}.py:server"
        self.env = env or {}
        self._serve = serve
        self._arguments = arguments
        self._server: Any = None
        self._clients: list[Client] = []

    @property
    def server(self) -> Any:
        """``erlmcp serve``; started when a transport needs it."""
        if self._server is None:
            self._server = self._serve(
                "--tcp", "127.0.0.1:0", *self._arguments, target=self.target, env=self.env
            ).started()
        return self._server

    def client(self, transport: str = "http", era: str = "modern") -> Any:
        client: Client
        if transport == "stdio":
            client = StdioClient(self.target, era, self.env)
        elif transport == "tcp":
            port = int(re.search(r"tcp 127.0.0.1:(\d+)", "\n".join(self.server.lines))[1])  # type: ignore[index]
            client = TcpClient(port, era)
        elif transport == "websocket":
            client = WebSocketClient(self.server.url, era)
        elif transport == "sse":
            client = SseClient(self.server.url)
        else:
            client = HttpClient(self.server.url, era)
        self._clients.append(client)
        client.shake_hands()
        return client

    def at(self, pid: str, *, same: bool) -> Any:
        """A client of this worker, or of another one."""
        for _ in range(200):
            client = self.client()
            if (client.text("who") == pid) is same:
                return client
            client.close()
        raise AssertionError(f"no connection to {'worker' if same else 'another worker than'} {pid}")

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.server.events() if line["event"] == event]

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture
def unruly(serve) -> Iterator[Any]:
    """A function that starts a server of an unruly guest."""
    running: list[Unruly] = []

    def start(guest: str = "on_sdk", *arguments: str, env: dict[str, str] | None = None) -> Unruly:
        running.append(Unruly(serve, guest, *arguments, env=env))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture(params=CELLS, ids="-".join)
def cell(request):
    """Every transport with every era that it serves."""
    return request.param


@pytest.fixture(params=SERVED_CELLS, ids="-".join)
def served_cell(request):
    """Every transport of ``erlmcp serve`` with every era that it serves."""
    return request.param


@pytest.fixture
def ended():
    """What a client raises when the server has ended the connection."""
    return Ended
