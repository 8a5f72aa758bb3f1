"""Clients that speak raw MCP over each transport on which there can be tasks."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connect_websocket

GUESTS = Path(__file__).parent / "guests"
EXTENSION = "io.modelcontextprotocol/tasks"
VERSION = "2026-07-28"
LIMIT_S = 20.0
DECLARED = {"elicitation": {}, "extensions": {EXTENSION: {}}}


class Refused(Exception):  # noqa: N818 - a JSON-RPC error, which is an answer
    """The server answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code = error["code"]
        self.data = error.get("data")


class Client:
    """One client; ``capabilities`` go with every request."""

    def __init__(self) -> None:
        self.capabilities: dict[str, Any] = DECLARED
        self.heard: list[dict[str, Any]] = []
        self._number = 0

    def message(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        meta = {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        }
        return {
            "jsonrpc": "2.0",
            "id": self._number,
            "method": method,
            "params": {**params, "_meta": meta},
        }

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer; what else comes is in ``heard``."""
        raise NotImplementedError

    def listen(self, **notifications: Any) -> Iterator[dict[str, Any]]:
        """What a listen stream carries, without end; only for one stream at a time."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a request."""
        answer = self.exchange(self.message(method, params))
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.request("tools/call", name=tool, arguments=arguments)

    def start(self, tool: str, **arguments: Any) -> str:
        """Call a tool that becomes a task; the task's id."""
        created = self.call(tool, **arguments)
        assert created["resultType"] == "task", created
        return created["taskId"]

    def get(self, task_id: str) -> dict[str, Any]:
        return self.request("tasks/get", taskId=task_id)

    def update(self, task_id: str, **responses: Any) -> dict[str, Any]:
        return self.request("tasks/update", taskId=task_id, inputResponses=responses)

    def cancel(self, task_id: str) -> dict[str, Any]:
        return self.request("tasks/cancel", taskId=task_id)

    def until(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """Ask for a task until it has one of these states."""
        deadline = time.monotonic() + LIMIT_S
        while (task := self.get(task_id))["status"] not in statuses:
            assert time.monotonic() < deadline, task
        return task

    def ended(self, task_id: str) -> dict[str, Any]:
        return self.until(task_id, "completed", "failed", "cancelled")

    def text(self, task_id: str) -> str:
        """The text of a task that completes."""
        task = self.ended(task_id)
        assert task["status"] == "completed", task
        return task["result"]["content"][0]["text"]


def _header_text(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        return f"=?base64?{base64.b64encode(value.encode()).decode()}?="
    return value


class HttpClient(Client):
    """One kept connection, so that one worker serves it. Streams have connections of their own."""

    def __init__(self, url: str) -> None:
        super().__init__()
        parts = urlsplit(url)
        self.address = parts.hostname, parts.port
        self.connection = http.client.HTTPConnection(*self.address, timeout=LIMIT_S)
        self.headers: dict[str, str | None] = {}
        self.status = 0
        self._streams: list[http.client.HTTPConnection] = []

    def post(self, connection: http.client.HTTPConnection, message: dict[str, Any]) -> Any:
        self._send(connection, message)
        return connection.getresponse()

    def post_only(self, message: dict[str, Any]) -> Any:
        """Send a request; the result waits for its response."""
        self._send(self.connection, message)
        return self.connection.getresponse

    def _send(self, connection: http.client.HTTPConnection, message: dict[str, Any]) -> None:
        params = message["params"]
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": message["method"],
            "Mcp-Name": _header_text(params.get("name") or params.get("taskId")),
            **self.headers,
        }
        given = {name: value for name, value in headers.items() if isinstance(value, str)}
        connection.request("POST", "/mcp", json.dumps(message), given)

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        response = self.post(self.connection, message)
        self.status = response.status
        body = response.read()
        if response.headers["content-type"].startswith("application/json"):
            return json.loads(body)
        *others, last = (json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: "))
        self.heard += others
        return last

    def listen(self, **notifications: Any) -> Iterator[dict[str, Any]]:
        connection = http.client.HTTPConnection(*self.address, timeout=LIMIT_S)
        self._streams.append(connection)
        response = self.post(
            connection, self.message("subscriptions/listen", {"notifications": notifications})
        )
        if not response.headers["content-type"].startswith("text/event-stream"):
            yield json.loads(response.read())
        while line := response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])

    def close(self) -> None:
        for each in (self.connection, *self._streams):
            each.close()


class ChannelClient(Client):
    """Messages of both sides on one channel."""

    def __init__(self) -> None:
        super().__init__()
        self._listening: list[int] = []

    def write(self, text: str) -> None:
        raise NotImplementedError

    def read(self) -> str:
        raise NotImplementedError

    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        self.write(json.dumps(message))
        while True:
            found = self.receive()
            if found.get("id") == message["id"]:
                return found
            self.heard.append(found)

    def receive(self) -> dict[str, Any]:
        text = self.read()
        assert text, "the server has ended the channel"
        return json.loads(text)

    def listen(self, **notifications: Any) -> Iterator[dict[str, Any]]:
        message = self.message("subscriptions/listen", {"notifications": notifications})
        self._listening.append(message["id"])
        self.write(json.dumps(message))
        while True:
            yield self.heard.pop(0) if self.heard else self.receive()

    def unlisten(self) -> None:
        """End every stream, and forget what came on them."""
        while self._listening:
            params = {"requestId": self._listening.pop()}
            self.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
        self.request("server/discover")
        self.heard.clear()


class TcpClient(ChannelClient):
    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._socket = socket.create_connection((host, port), timeout=LIMIT_S)
        self._file = self._socket.makefile("rw", encoding="utf-8", newline="\n")

    def write(self, text: str) -> None:
        self._file.write(text + "\n")
        self._file.flush()

    def read(self) -> str:
        return self._file.readline()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class WebSocketClient(ChannelClient):
    def __init__(self, url: str) -> None:
        super().__init__()
        place = url.replace("http://", "ws://").replace("/mcp", "/ws")
        self._stack = ExitStack()
        self._connection = self._stack.enter_context(
            connect_websocket(place, subprotocols=["mcp"], compression=None, proxy=None)
        )

    def write(self, text: str) -> None:
        self._connection.send(text)

    def read(self) -> str:
        try:
            return str(self._connection.recv(timeout=LIMIT_S))
        except ConnectionClosed:
            return ""

    def close(self) -> None:
        self._stack.close()


class StdioClient(ChannelClient):
    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "erlmcp.cli.main", "stdio", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(GUESTS)},
        )

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(LIMIT_S)
        self.process.stdout.close()
