"""The requests that are sent, and the check that an answer is the right one."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.http.targets import Mode, Target

HOST: Final = "127.0.0.1"
PATH: Final = "/mcp"
ID_MARK: Final = "@ID@"
CHECKED_ID: Final = 1_000_000
_TIMEOUT_S: Final = 15
HANDSHAKE_VERSION: Final = "2025-11-25"
MODERN_VERSION: Final = "2026-07-28"
FIELDS: Final = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
_META: Final = "io.modelcontextprotocol/"
_CLIENT: Final = {"name": "bench", "version": "1.0.0"}
INITIALIZE: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": _CLIENT},
    }
).encode()
INITIALIZED: Final = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode()
ENVELOPE: Final = {
    f"{_META}protocolVersion": MODERN_VERSION,
    f"{_META}clientCapabilities": {},
    f"{_META}clientInfo": _CLIENT,
}
ARGUMENTS: Final = {"a": 2, "b": 3}
TOTAL: Final = ARGUMENTS["a"] + ARGUMENTS["b"]


class WrongAnswerError(Exception):
    """The server does not answer the request as it should; measuring it would mean nothing."""


@dataclass(frozen=True)
class Message:
    """One request: header fields, and the body with a mark where the id goes."""

    fields: dict[str, str]
    body: str

    def body_with(self, request_id: int) -> str:
        """The body of one request."""
        return self.body.replace(f'"{ID_MARK}"', str(request_id))


def message_for(target: Target) -> Message:
    """The call that is repeated for a target."""
    params: dict[str, Any] = {"name": target.tool, "arguments": ARGUMENTS}
    fields = {**FIELDS, "mcp-protocol-version": HANDSHAKE_VERSION}
    if target.mode is Mode.MODERN:
        params["_meta"] = ENVELOPE
        fields = {
            **FIELDS,
            "mcp-protocol-version": MODERN_VERSION,
            "mcp-method": "tools/call",
            "mcp-name": target.tool,
        }
    if target.traced:
        fields["traceparent"] = "00-0af7651916cd43dd8448eb210@TRACE@-b7ad6b7169203331-01"
    call = {"jsonrpc": "2.0", "id": ID_MARK, "method": "tools/call", "params": params}
    return Message(fields, json.dumps(call, separators=(",", ":")))


def open_sessions(port: int, count: int) -> list[str]:
    """Begin sessions as a client of the handshake era does.

    Raises:
        WrongAnswerError: one was refused.
    """
    found = []
    for _ in range(count):
        status, headers, body = _post(port, FIELDS, INITIALIZE)
        session = headers.get("mcp-session-id")
        if status != 200 or session is None:
            raise WrongAnswerError(f"initialize was answered with {status}: {body[:200]}")
        fields = {**FIELDS, "mcp-protocol-version": HANDSHAKE_VERSION, "mcp-session-id": session}
        status, _, body = _post(port, fields, INITIALIZED)
        if status not in (200, 202):
            raise WrongAnswerError(f"notifications/initialized was answered with {status}: {body[:200]}")
        found.append(session)
    return found


def check_answer(port: int, message: Message, session: str | None) -> None:
    """Send the request once and look at the answer.

    Raises:
        WrongAnswerError: it is not the sum, with the id of the request.
    """
    fields = message.fields if session is None else {**message.fields, "mcp-session-id": session}
    status, _, body = _post(port, fields, message.body_with(CHECKED_ID))
    if status != 200 or not is_right(body[body.find("{") : body.rfind("}") + 1], CHECKED_ID):
        raise WrongAnswerError(f"the call was answered with {status}: {body[:300]}")


def is_right(text: str | bytes, request_id: int) -> bool:
    """Whether an answer is the sum, with the id of the request."""
    try:
        answer = json.loads(text)
        result = answer["result"]
        return (
            answer["id"] == request_id
            and result["content"][0]["text"] == str(TOTAL)
            and result["structuredContent"] == {"result": TOTAL}
            and not result.get("isError")
        )
    except (ValueError, KeyError, IndexError, TypeError):
        return False


def _post(port: int, fields: dict[str, str], body: str | bytes) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", PATH, body, fields)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read().decode()
    finally:
        connection.close()
