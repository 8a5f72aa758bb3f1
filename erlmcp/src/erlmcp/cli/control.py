"""A small client of the control socket, for people at a terminal. One request, one answer, no retries."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from erlmcp.config.errors import ErlmcpError

MAX_ANSWER_BYTES = 16 * 1024 * 1024


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    control: Path, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float
) -> Any:
    """The JSON that the server answers.

    Raises:
        ErlmcpError: control.unreachable, or the fault that the server answered.
    """
    connection = _UnixConnection(control, timeout_s)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        answer = json.loads(response.read(MAX_ANSWER_BYTES))
    except (OSError, ValueError, http.client.HTTPException) as fault:
        raise ErlmcpError(
            "control.unreachable",
            f"the server does not answer, got {fault} on {control}; expected a control socket",
            hint="give the path that erlmcp serve was started with",
            exit_code=1,
        ) from fault
    finally:
        connection.close()
    if response.status < 400:
        return answer
    error = answer["error"]
    raise ErlmcpError(
        error["id"],
        error["message"],
        hint=error.get("hint", ""),
        exit_code=1,
        log_tail=tuple(error.get("log_tail", ())),
    )
