"""A minimal MCP client of our own, in both eras, that never retries and hides nothing.

It speaks Streamable HTTP: modern requests carry their envelope and routing headers, handshake ones a
session. It is not the official SDK on purpose: an independent second reading of the protocol is part of
what the journeys prove. ``adapters.http`` bounds every answer; ``adapters.mcp_stream`` reads streams.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from gonogo import __version__
from gonogo.adapters.http import HttpAnswer, HttpReader
from gonogo.adapters.mcp_stream import EventStream, events_in
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading

MODERN_VERSION = "2026-07-28"
HANDSHAKE_VERSION = "2025-11-25"
MAX_PAGES = 200
MAX_TRANSCRIPT_BYTES = 128 * 1024
_META = "io.modelcontextprotocol/"
_CLIENT_INFO = {"name": "gonogo", "version": __version__}
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Era(StrEnum):
    """Which family of revisions is spoken."""

    MODERN = "modern"
    HANDSHAKE = "handshake"


class McpError(GonogoError):
    """The peer answered against the protocol, or with an error where a result was asked for.

    Attributes:
        code: the JSON-RPC error code, if it was one.
        status: the HTTP status.
    """

    def __init__(self, error_id: str, message: str, *, code: int | None = None, status: int = 0) -> None:
        super().__init__(error_id, message)
        self.code = code
        self.status = status


@dataclass(slots=True)
class Transcript:
    """What was said, without session ids, bounded."""

    _lines: list[str] = field(default_factory=list)
    _bytes: int = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep ``line`` if there is room."""
        text = json.dumps(line, ensure_ascii=False)
        self._bytes += len(text)
        if self._bytes <= MAX_TRANSCRIPT_BYTES:
            self._lines.append(text)

    def as_reading(self, source: str) -> Reading:
        """One JSON object a line: requests, answers and stream messages in their order."""
        return Reading(source, "application/jsonl", "\n".join(self._lines).encode())


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request's answer with what came before it.

    Attributes:
        result: the JSON-RPC result.
        notifications: messages that came on the request's own stream before the result.
    """

    result: Mapping[str, Any]
    notifications: tuple[Mapping[str, Any], ...]
    http: HttpAnswer


class McpClient:
    """One client of one endpoint in one era.

    Args:
        endpoint: URL of the MCP endpoint.
        http: the reader to use; the caller closes it.
        transcript: where exchanges are kept; shared by clients whose story belongs together.
    """

    def __init__(
        self, endpoint: str, http: HttpReader, era: Era, *, transcript: Transcript | None = None
    ) -> None:
        self.endpoint = endpoint
        self.era = era
        self.http = http
        self.transcript = transcript or Transcript()
        self.session_id: str | None = None
        self.server: Mapping[str, Any] = {}
        self._last_id = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.session_id is not None and kind is None:
            await self.end_session()

    async def open(self) -> None:
        """Meet the server: ``server/discover``, or the handshake.

        Raises:
            McpError, HttpError: it is not an MCP server of this era.
        """
        if self.era is Era.MODERN:
            self.server = (await self.request("server/discover")).result
            return
        params = {"protocolVersion": HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": _CLIENT_INFO}
        exchange = await self.request("initialize", params)
        self.server = exchange.result
        self.session_id = exchange.http.header("mcp-session-id")
        await self._notify("notifications/initialized")

    async def end_session(self) -> int:
        """DELETE the session; the status."""
        answer = await self.http.request("DELETE", self.endpoint, headers=self.headers())
        self.transcript.add({"delete": "session", "status": answer.status})
        self.session_id = None
        return answer.status

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """One request and its result.

        Raises:
            McpError: mcp.error with the code, or mcp.bad-answer.
            HttpError: no answer.
        """
        message = self.message(method, params)
        answer = await self.post(
            json.dumps(message).encode(),
            {**self.headers(method, message["params"]), **(headers or {})},
            timeout_s,
        )
        self.transcript.add({"request": message, "status": answer.status, "elapsed_s": answer.elapsed_s})
        messages = events_in(answer)
        for received in messages:
            self.transcript.add({"received": received})
        final = next((m for m in messages if m.get("id") == message["id"] and "method" not in m), None)
        if final is not None and isinstance(final.get("result"), dict) and answer.status == 200:
            notifications = tuple(m for m in messages if m is not final)
            return Exchange(final["result"], notifications, answer)
        raise _fault(method, answer, final or (messages[0] if messages else None))

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        progress_token: str | None = None,
        timeout_s: float | None = None,
    ) -> Exchange:
        """``tools/call``; with a token, progress comes among the notifications."""
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments)}
        if progress_token is not None:
            params["_meta"] = {"progressToken": progress_token}
        return await self.request("tools/call", params, timeout_s=timeout_s)

    async def read_resource(self, uri: str) -> Exchange:
        """``resources/read``."""
        return await self.request("resources/read", {"uri": uri})

    async def list_all(self, method: str, member: str) -> list[list[Mapping[str, Any]]]:
        """Every page of a list such as ``resources/list``.

        Raises:
            McpError: mcp.endless-list after ``MAX_PAGES`` pages or a cursor that comes twice.
        """
        pages: list[list[Mapping[str, Any]]] = []
        seen: set[str] = set()
        params: dict[str, Any] = {}
        while True:
            result = (await self.request(method, params)).result
            page = result.get(member)
            if not isinstance(page, list):
                raise McpError("mcp.bad-answer", f"{method}: result has no list {member!r}")
            pages.append(page)
            cursor = result.get("nextCursor")
            if cursor is None:
                return pages
            if cursor in seen or len(pages) >= MAX_PAGES:
                raise McpError("mcp.endless-list", f"{method}: page {len(pages)} leads back or never ends")
            seen.add(cursor)
            params = {"cursor": cursor}

    def subscribe(self, uris: tuple[str, ...]) -> AbstractAsyncContextManager[Subscription]:
        """Changes of ``uris`` and of the list of resources, while the context is open."""
        return self._listen(uris) if self.era is Era.MODERN else self._get_stream(uris)

    async def post(
        self, body: bytes, headers: Mapping[str, str], timeout_s: float | None = None
    ) -> HttpAnswer:
        """Raw POST for negative tests: exactly these bytes under exactly these headers."""
        return await self.http.request(
            "POST", self.endpoint, headers=headers, content=body, timeout_s=timeout_s
        )

    def message(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A request as this era writes it, with the next id."""
        self._last_id += 1
        written = dict(params or {})
        if self.era is Era.MODERN:
            written["_meta"] = {
                **written.get("_meta", {}),
                _META + "protocolVersion": MODERN_VERSION,
                _META + "clientCapabilities": {},
                _META + "clientInfo": _CLIENT_INFO,
            }
        return {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": written}

    def headers(self, method: str = "", params: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Headers that this era wants for ``method``."""
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        if self.era is Era.MODERN:
            headers |= {"mcp-protocol-version": MODERN_VERSION, "mcp-method": method}
            if method in _NAMED_BY:
                headers["mcp-name"] = header_value(str((params or {}).get(_NAMED_BY[method], "")))
        elif method != "initialize":
            headers["mcp-protocol-version"] = str(self.server.get("protocolVersion", HANDSHAKE_VERSION))
            if self.session_id is not None:
                headers["mcp-session-id"] = self.session_id
        return headers

    async def _notify(self, method: str) -> None:
        body = json.dumps({"jsonrpc": "2.0", "method": method}).encode()
        answer = await self.post(body, self.headers(method))
        self.transcript.add({"notification": method, "status": answer.status})
        if answer.status != 202:
            raise McpError(
                "mcp.bad-answer", f"{method}: answered {answer.status}; expected 202", status=answer.status
            )

    @asynccontextmanager
    async def _listen(self, uris: tuple[str, ...]) -> AsyncIterator[Subscription]:
        wanted = {"resourcesListChanged": True, "resourceSubscriptions": list(uris)}
        message = self.message("subscriptions/listen", {"notifications": wanted})
        headers = self.headers("subscriptions/listen", message["params"])
        self.transcript.add({"request": message})
        body = json.dumps(message).encode()
        async with self.http.stream("POST", self.endpoint, headers=headers, content=body) as response:
            stream = await EventStream.of(response)
            acknowledged = await self._next(stream)
            if acknowledged.get("method") != "notifications/subscriptions/acknowledged":
                raise McpError(
                    "mcp.bad-answer", f"listen: first message is {_named(acknowledged)}; expected the ack"
                )
            yield Subscription(self, stream, message["id"])

    @asynccontextmanager
    async def _get_stream(self, uris: tuple[str, ...]) -> AsyncIterator[Subscription]:
        headers = self.headers("GET") | {"accept": "text/event-stream"}
        async with self.http.stream("GET", self.endpoint, headers=headers) as response:
            stream = await EventStream.of(response)
            for uri in uris:
                await self.request("resources/subscribe", {"uri": uri})
            yield Subscription(self, stream, None)

    async def _next(self, stream: EventStream, timeout_s: float = 5.0) -> Mapping[str, Any]:
        received = await stream.next(timeout_s)
        self.transcript.add({"received": received})
        return received


class Subscription:
    """An open subscription.

    Attributes:
        listen_id: the request's id, which stamps every message of the modern era; None in the other.
    """

    def __init__(self, client: McpClient, stream: EventStream, listen_id: int | None) -> None:
        self._client = client
        self._stream = stream
        self.listen_id = listen_id

    async def next(self, timeout_s: float) -> Mapping[str, Any]:
        """The next message: a notification, or the final result when the server ends it.

        Raises:
            HttpError: http.timeout when none comes in time, stream.ended when the stream is over.
        """
        return await self._client._next(self._stream, timeout_s)  # noqa: SLF001 - one transcript for both


def header_value(text: str) -> str:
    """``text`` as a header value; what does not fit travels in base64 with the markers for it."""
    plain = (
        text.isascii() and text.isprintable() and text == text.strip() and not text.startswith("=?base64?")
    )
    if plain:
        return text
    return "=?base64?" + base64.b64encode(text.encode()).decode() + "?="


def _fault(method: str, answer: HttpAnswer, received: Mapping[str, Any] | None) -> McpError:
    error = received.get("error") if received else None
    if isinstance(error, dict):
        code, text = error.get("code"), str(error.get("message", ""))[:200]
        return McpError(
            "mcp.error",
            f"{method}: answered {answer.status} with error {code}: {text}",
            code=code if isinstance(code, int) else None,
            status=answer.status,
        )
    return McpError(
        "mcp.bad-answer",
        f"{method}: answered {answer.status} without a result or an error",
        status=answer.status,
    )


def _named(message: Mapping[str, Any]) -> str:
    return str(message.get("method") or ("an error" if "error" in message else "a result"))
