"""The guest's own HTTP routes (``custom_route``), served beside the MCP endpoint.

Only paths that the guest has declared, and whole answers within a bound: requests are complete when they
come here, and what an endpoint sends is collected before anything is written. Endpoints that stream for ever
do not belong behind this. The MCP endpoint itself is ``erlmcp.transports.streamable_http``.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Match, Router

from erlmcp.dispatch.callers import enter, scope_of
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.streamable_http.answers import turn_away
from erlmcp.transports.streamable_http.service import Service

logger = logging.getLogger(__name__)

_OURS: Final = frozenset({b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding"})
"""Fields of an answer that belong to the connection, whatever the endpoint says."""

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_Message = MutableMapping[str, Any]


class _TooLargeError(Exception):
    """The answer of an endpoint is over the bound."""


class GuestRoutes:
    """The routes of one guest and the requests that are running on them."""

    def __init__(self, routes: Sequence[BaseRoute], service: Service) -> None:
        self._routes = list(routes)
        self._app = ExceptionMiddleware(Router(routes=self._routes, redirect_slashes=False))
        self._service = service
        self._settings = service.settings
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def in_flight(self) -> int:
        """Requests that are owed an answer."""
        return len(self._running)

    def declares(self, request: HttpRequest) -> bool:
        """Whether the guest has declared this path, with this method or another."""
        if not self._routes:
            return False
        scope = _scope(request, "http")
        return any(route.matches(scope)[0] is not Match.NONE for route in self._routes)

    def serve(self, exchange: Exchange) -> None:
        """Answer an exchange whose path is declared."""
        wait_s = self._service.rate_limit.wait_s(exchange.request.peer)
        if wait_s:
            self._service.meter.rejected("rate")
            turn_away(exchange, 429, "too many requests", heads.field(b"retry-after", str(wait_s)))
            return
        if len(self._running) >= self._settings.limits.max_in_flight:
            turn_away(exchange, 503, "too many requests", heads.field(b"retry-after", "1"))
            return
        task = asyncio.get_running_loop().create_task(self._run(exchange))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        exchange.on_gone = partial(_cancel, task)

    async def close(self) -> None:
        """Cancel what is running."""
        self._closing = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, exchange: Exchange) -> None:
        request = exchange.request
        enter(request.grant)
        answer = _Answer(request.body, self._settings.http.max_body_bytes)
        limit = asyncio.timeout(self._settings.mcp.request_timeout_s)
        try:
            async with limit:
                await self._app(_scope(request, exchange.scheme), answer.receive, answer.send)
        except BaseException as fault:
            if isinstance(fault, asyncio.CancelledError) and (exchange.gone or self._closing):
                raise
            if limit.expired():
                turn_away(exchange, 504, "the request took too long")
                return
            path = request.path.decode("latin-1")
            logger.error("an HTTP route of the guest failed: %r", path, exc_info=fault)  # noqa: TRY400 - with it
            turn_away(exchange, 500, "internal error")
        else:
            answer.write(exchange)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


class _Answer:
    """What an endpoint reads and what it sends, in the words of ASGI."""

    def __init__(self, body: bytes, max_bytes: int) -> None:
        self._request_body: bytes | None = body
        self._max_bytes = max_bytes
        self._status = 0
        self._fields = b""
        self._body = bytearray()

    async def receive(self) -> _Message:
        """The whole body at once; nothing follows it before the task is cancelled."""
        if self._request_body is None:
            await asyncio.get_running_loop().create_future()
        body, self._request_body = self._request_body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: _Message) -> None:
        """Collect a piece of the answer.

        Raises:
            ValueError: a field would end its line.
        """
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._fields = b"".join(
                heads.field(_name(bytes(name)), bytes(value).decode("latin-1"))
                for name, value in message.get("headers", ())
                if bytes(name).lower() not in _OURS
            )
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if len(self._body) > self._max_bytes:
                raise _TooLargeError(f"more than {self._max_bytes} bytes")

    def write(self, exchange: Exchange) -> None:
        """Send what was collected."""
        if self._status not in heads.STATUS_LINE or self._status < 200:
            logger.error("an HTTP route of the guest answered with status %r", self._status)
            turn_away(exchange, 500, "internal error")
            return
        exchange.respond(self._status, bytes(self._body), self._fields)


def _name(name: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError("a header name must be a token")
    return name


def _scope(request: HttpRequest, scheme: str) -> dict[str, Any]:
    path = unquote_to_bytes(request.path)
    decoded = ""
    with suppress(UnicodeDecodeError):  # a path that is no text matches nothing
        decoded = path.decode("utf-8")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1" if request.is_1_1 else "1.0",
        "method": request.method.decode("latin-1"),
        "scheme": scheme,
        "path": decoded,
        "raw_path": request.path,
        "root_path": "",
        "query_string": request.query,
        "headers": request.headers.pairs(),
        "client": (request.peer, 0) if request.peer else None,
        "server": request.local,
        **scope_of(request.grant),
    }
