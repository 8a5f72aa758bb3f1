"""One request and its response. The endpoint answers through this and never sees the socket.

An exchange is answered exactly once: ``respond`` at once, or ``start_stream``, ``send`` any number of times
and ``end``. When the client goes away first, ``gone`` becomes true, ``on_gone`` is called once, and all
writing becomes a no-op, so that the endpoint needs no special case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, Final, Protocol

from erlmcp.telemetry.correlation import FIELD, Correlation
from erlmcp.transports.http import heads
from erlmcp.transports.http.request import HttpRequest

_FIRST_ERROR: Final = 400


class Wire(Protocol):
    """What an exchange needs of its connection."""

    scheme: ClassVar[str]

    @property
    def draining(self) -> bool: ...
    def date(self) -> bytes: ...
    def json_head(self) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def write_answer(self, data: bytes) -> None: ...
    def write_bounded(self, data: bytes) -> None: ...
    async def relief(self) -> None: ...
    def refused(self, method: bytes, status: int, correlation: Correlation) -> None: ...
    def exchange_ended(self, *, keep: bool) -> None: ...
    def hand_over(self) -> tuple[asyncio.Transport, bytes]: ...


class Answering(Protocol):
    """Where a request is answered: an exchange, or a part of one."""

    can_resume: ClassVar[bool]
    request: HttpRequest
    extra: bytes
    gone: bool
    is_logged: bool
    on_gone: Callable[[], None] | None

    @property
    def correlation(self) -> Correlation: ...
    @property
    def sent(self) -> bytes: ...
    @property
    def told_correlation(self) -> Correlation | None: ...
    def tell_correlation(self) -> None: ...
    @property
    def streaming(self) -> bool: ...
    def respond(self, status: int, body: bytes = b"", fields: bytes = b"") -> None: ...
    def start_stream(self, fields: bytes = heads.EVENT_STREAM) -> None: ...
    def send(self, data: bytes) -> None: ...
    async def relief(self) -> None: ...
    def end(self, data: bytes = b"") -> None: ...


class Exchange:
    """One request and its response."""

    can_resume: ClassVar[bool] = True
    """Whether a client can come back to its stream."""

    __slots__ = (
        "_chunked",
        "_correlation",
        "_done",
        "_keep",
        "_streaming",
        "_wire",
        "extra",
        "gone",
        "is_logged",
        "on_gone",
        "request",
    )

    def __init__(self, request: HttpRequest, wire: Wire) -> None:
        self.request = request
        self.extra = b""
        """Field lines that every answer of this exchange carries."""
        self.gone = False
        self.on_gone: Callable[[], None] | None = None
        self.is_logged = False
        """Whether the log tells of its answer already."""
        self._correlation: Correlation | None = None
        self._wire = wire
        self._keep = request.keep_alive
        self._streaming = False
        self._chunked = False
        self._done = False

    @property
    def scheme(self) -> str:
        """``https`` inside TLS, else ``http``."""
        return self._wire.scheme

    @property
    def correlation(self) -> Correlation:
        """How this request is known in logs and to its client."""
        if self._correlation is None:
            headers = self.request.headers
            self._correlation = Correlation(headers.raw(FIELD), headers.raw(b"traceparent"))
        return self._correlation

    @property
    def sent(self) -> bytes:
        """The body of the request."""
        return bytes(self.request.body)

    @property
    def told_correlation(self) -> Correlation | None:
        """The same if anybody knows of it: the client that sent it, or whoever was told it."""
        headers = self.request.headers
        if self._correlation is not None or headers.raw(FIELD) or headers.raw(b"traceparent"):
            return self.correlation if self.correlation.is_told else None
        return None

    def tell_correlation(self) -> None:
        """Let the answer carry the id of the request."""
        self.extra += heads.field(FIELD, self.correlation.request_id)

    @property
    def streaming(self) -> bool:
        """Whether the head of a stream has been sent; the status can no longer change."""
        return self._streaming

    def respond(self, status: int, body: bytes = b"", fields: bytes = b"") -> None:
        """Answer with a whole response."""
        if self._done:
            return
        if status == 200 and fields is heads.JSON and self.request.method == b"POST":
            length = b"content-length: %d\r\n\r\n" % len(body)
            self._wire.write_answer(self._wire.json_head() + self.extra + self._persistence() + length + body)
            self._finish()
            return
        if status >= _FIRST_ERROR:
            if FIELD not in self.extra:
                self.tell_correlation()
            if not self.is_logged:
                self._wire.refused(self.request.method, status, self.correlation)
        head = b"".join(
            (
                heads.STATUS_LINE[status],
                self._wire.date(),
                fields,
                self.extra,
                self._persistence(),
                b"content-length: %d\r\n\r\n" % len(body) if status not in (204, 304) else b"\r\n",
            )
        )
        self._wire.write(head if self.request.method == b"HEAD" else head + body)
        self._finish()

    def start_stream(self, fields: bytes = heads.EVENT_STREAM) -> None:
        """Send the head of a 200 whose body comes bit by bit."""
        if self._done or self._streaming:
            return
        self._streaming = True
        self.tell_correlation()
        self._chunked = self.request.is_1_1
        if not self._chunked:
            self._keep = False
        framing = heads.CHUNKED if self._chunked else b""
        self._wire.write(
            b"".join(
                (
                    heads.STATUS_LINE[200],
                    self._wire.date(),
                    fields,
                    self.extra,
                    self._persistence(),
                    framing,
                    b"\r\n",
                )
            )
        )

    def send(self, data: bytes, *, bounded: bool = True) -> None:
        """Send a piece of the stream. A client with too much unread is cut, unless ``bounded`` is false."""
        if not self._done:
            write = self._wire.write_bounded if bounded else self._wire.write
            write(heads.chunk(data) if self._chunked else data)

    async def relief(self) -> None:
        """Wait until the client has read enough for more to be sent; returns at once if it is gone."""
        if not self._done:
            await self._wire.relief()

    def end(self, data: bytes = b"") -> None:
        """End the stream, after a last piece if one is given."""
        if self._done:
            return
        if self._chunked:
            data = (heads.chunk(data) if data else b"") + heads.LAST_CHUNK
        self._wire.write(data)
        self._finish()

    def switch(self, fields: bytes) -> tuple[asyncio.Transport, bytes]:
        """Answer 101 and leave the connection to another protocol: the transport, and what came already."""
        self._wire.write(heads.STATUS_LINE[101] + self._wire.date() + fields + b"\r\n")
        self._done = True
        self.on_gone = None
        return self._wire.hand_over()

    def client_gone(self) -> None:
        """The connection is lost; called by it."""
        self.gone = True
        self._done = True
        if self.on_gone is not None:
            told, self.on_gone = self.on_gone, None
            told()

    def _persistence(self) -> bytes:
        if self._wire.draining:
            self._keep = False
        if not self._keep:
            return heads.CLOSE
        return b"" if self.request.is_1_1 else heads.KEEP_ALIVE

    def _finish(self) -> None:
        self._done = True
        self.on_gone = None
        self._wire.exchange_ended(keep=self._keep)
