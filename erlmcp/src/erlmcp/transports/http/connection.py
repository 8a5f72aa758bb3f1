"""One HTTP/1.1 connection: reads requests, hands them over one by one, keeps every time limit.

Requests that come while one is being answered wait in order; when too many wait, reading pauses. It does not
know what the requests mean. ``erlmcp.transports.http.server`` owns it, ``reading`` parses for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, ClassVar, cast

from erlmcp.telemetry.correlation import Correlation
from erlmcp.transports.accepting import address_of
from erlmcp.transports.http import heads
from erlmcp.transports.http.deadline import Deadline
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.known_heads import KnownHead, Passing
from erlmcp.transports.http.reading import Reader, Refused, Upgrade
from erlmcp.transports.http.request import HttpRequest

if TYPE_CHECKING:
    from erlmcp.transports.http.server import HttpServer

logger = logging.getLogger(__name__)


class HttpConnection(asyncio.Protocol):
    """The server's end of one connection."""

    scheme: ClassVar[str] = "http"

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = server.loop
        self._transport: asyncio.Transport | None = None
        self._reader: Reader | None = None
        self._waiting: deque[HttpRequest | Refused] = deque()
        self._current: Exchange | None = None
        self._waiting_bytes = 0
        self._unparsed: memoryview | None = None
        self._in_one_piece = self._unsent = b""
        self.peer = self._proxy = self._paused_deadline_of = ""
        self._local: tuple[str, int] | None = None
        self._owes_continue = self._closing = self._write_paused = self._reads_no_more = False
        self._relief: asyncio.Future[None] | None = None
        self.deadline = Deadline(self._loop, server.time_limits_s)

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it at once when there are too many."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop has its own class
        self.peer = address_of(transport)
        if not self._server.admit(self):
            self._closing = True
            transport.abort()
            return
        self._proxy = self.peer if self._server.speaks_for_others(self.peer) else ""
        transport.set_write_buffer_limits(high=self._limits.max_stream_buffer_bytes // 2)
        sockname = transport.get_extra_info("sockname")
        self._local = sockname[:2] if isinstance(sockname, tuple) else None
        self.deadline.on_expired = self._time_is_up
        self.deadline.set("first")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """The client is gone: tell whoever is answering it."""
        self._wake_writers()
        current = self._current
        self._let_go()
        if current is not None:
            current.client_gone()

    def data_received(self, data: bytes) -> None:
        """Parse what came; beyond the bound of waiting requests it is kept and reading pauses."""
        self._server.meter.received_bytes += len(data)
        reader = self._reader
        if self._closing or self._reads_no_more:
            return  # the rest of a refused request is dropped
        if self._unparsed is not None:
            self._unparsed = memoryview(bytes(self._unparsed) + data)
            return
        at_rest = (reader is None or reader.at_rest) and self._current is None
        if at_rest and not self._waiting and not self._write_paused:
            if (found := self._server.known_heads.find(data)) is not None:
                self._answer_known(*found)
                return
            self._in_one_piece = data
        if reader is None:  # many that are held never need one
            self._reader = Reader(self, self._limits, self.peer, self._local)
        self._parse(memoryview(data))
        self._in_one_piece = b""

    def eof_received(self) -> bool:
        """A client that will send no more is taken as gone; unsent bytes are still flushed."""
        return False

    def pause_writing(self) -> None:
        """The client reads slower than it is written to."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        self._wake_writers()
        self._next()

    # -- reading --

    def _parse(self, view: memoryview) -> None:
        try:
            while view and self._reader is not None and not self._closing:
                if self._read_ahead_enough():
                    self._pause_reading(view)
                    return
                view = view[self._reader.feed(view) :]
                if self._current is None and self._waiting:
                    self._next()
        except Upgrade as upgrade:
            self._unparsed = view[upgrade.taken :]  # for whom the connection may be handed over to
            if self._transport is not None:
                self._transport.pause_reading()
            self._stop_reading(upgrade)
        except Refused as refusal:
            self._stop_reading(refusal)

    def _read_ahead_enough(self) -> bool:
        is_deep = len(self._waiting) >= self._limits.max_pipelined
        return is_deep or self._waiting_bytes > self._limits.max_body_bytes

    def _pause_reading(self, view: memoryview) -> None:
        assert self._transport is not None
        self._unparsed = view
        self._paused_deadline_of = self.deadline.name
        self.deadline.clear()  # it is we who make the client wait
        self._transport.pause_reading()

    def _resume_reading(self, view: memoryview) -> None:
        assert self._transport is not None
        self._unparsed = None
        self._transport.resume_reading()
        if self._paused_deadline_of in ("header", "body"):
            self.deadline.set(self._paused_deadline_of)
        self._parse(view)

    def _stop_reading(self, refusal: Refused) -> None:
        """What follows on this connection cannot be understood; the refusal is answered in its turn."""
        self.deadline.clear()
        self._end_reading()
        if refusal.status:
            self._waiting.append(refusal)
        elif self._waiting and isinstance(last := self._waiting[-1], HttpRequest):
            last.keep_alive = False
        self._next()

    def _end_reading(self) -> None:
        self._reads_no_more = True
        if self._reader is not None:
            self._reader.end()
            self._reader = None

    def head_began(self) -> None:
        """Callback of the reader."""
        self.deadline.set("header")

    def head_ended(self, *, expects_continue: bool) -> None:
        """Callback of the reader."""
        self.deadline.set("body")
        self._owes_continue = expects_continue
        if expects_continue and self._current is None and not self._waiting:
            self._say_continue()

    def request_ended(self, request: HttpRequest) -> None:
        """Callback of the reader."""
        self._owes_continue = False
        self.deadline.clear()
        if self._in_one_piece:
            self._server.known_heads.learn(self._in_one_piece, request)
        self._waiting.append(request)
        self._waiting_bytes += len(request.body)

    def _say_continue(self) -> None:
        if self._owes_continue:
            self._owes_continue = False
            self.write(heads.CONTINUE)

    # -- answering, one after the other --

    def _next(self) -> None:
        if self._current is not None or self._closing:
            return
        if not self._waiting:
            self._idle()
        elif self._write_paused:
            self._await_next_head()
        elif isinstance(request := self._waiting.popleft(), Refused):
            self._server.refused(self.peer, request.status)
            exchange = self._begin(HttpRequest("", None, keep_alive=False))
            exchange.respond(request.status, request.said, heads.PLAIN_TEXT)
        else:
            self._waiting_bytes -= len(request.body)
            self._answer(request)

    def _begin(self, request: HttpRequest) -> Exchange:
        self.deadline.clear("keep-alive", "first")
        self._current = exchange = Exchange(request, self)
        return exchange

    def _answer(self, request: HttpRequest) -> None:
        exchange = self._begin(request)
        try:
            self._server.handle(exchange, self._proxy)
        except Exception:
            logger.exception("answering a request failed")
            exchange.respond(500)

    def _answer_known(self, known: KnownHead, body: bytes, passing: Passing) -> None:
        at_once = known.at_once
        if (
            at_once is None
            or self._server.takes_long_way(self._proxy, known)
            or not at_once(self, known, body, passing)
        ):
            self._answer(known.request_with(body, self.peer, self._local, passing))

    def client_of(self, known: KnownHead) -> str:
        """As ``AtOnceWire``."""
        return (self._proxy and self._server.client_of(known)) or self.peer

    def answer_json(self, payload: bytes, fields: bytes = b"") -> None:
        """As ``AtOnceWire``."""
        head = self._server.json_head()
        self.write_answer(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, fields, len(payload), payload))
        self.deadline.set("keep-alive")

    def exchange_for(self, known: KnownHead, body: bytes, passing: Passing) -> Exchange:
        """As ``AtOnceWire``."""
        return self._begin(known.request_with(body, self.peer, self._local, passing))

    def _idle(self) -> None:
        """Everything read so far is answered: read on."""
        if self._unparsed is not None:
            self._resume_reading(self._unparsed)
        elif self._reads_no_more:
            self._linger()
        else:
            self._say_continue()
            self._await_next_head()

    def _await_next_head(self) -> None:
        if not self.deadline.name:
            self.deadline.set("keep-alive")

    def refused(self, method: bytes, status: int, correlation: Correlation) -> None:
        """An answer refuses what nobody has logged."""
        self._server.on_refused(method, status, correlation)

    def exchange_ended(self, *, keep: bool) -> None:
        """Callback of the exchange: its last byte is written."""
        self._current = None
        if not keep:
            self._linger()
        elif self._waiting or self._unparsed is not None or self._owes_continue or self._reads_no_more:
            self._loop.call_soon(self._next)  # not from within the answer: a pipeline must not recurse
        else:
            self._await_next_head()

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Leave the connection to another protocol: the transport, not reading, and what came already."""
        self.flush()
        transport, self._transport = self._transport, None
        assert transport is not None, "the client is there"
        early = b"" if self._unparsed is None else bytes(self._unparsed)
        self._let_go()
        return transport, early

    def _let_go(self) -> None:
        """Nothing more comes; what refers to this and is referred to must not wait for the collector."""
        self._closing = True
        self._waiting.clear()
        self._current = self._unparsed = None
        self.deadline.cancel()
        self._end_reading()
        self._server.forget(self)

    # -- writing --

    @property
    def draining(self) -> bool:
        """Whether answers must say that the connection closes."""
        return self._server.draining

    def date(self) -> bytes:
        """The field line with the time of now."""
        return self._server.date()

    def json_head(self) -> bytes:
        """The beginning of a 200 with JSON."""
        return self._server.json_head()

    def write(self, data: bytes) -> None:
        """Write at once and without a bound: the size of what is written is bounded elsewhere."""
        if self._unsent:
            self.flush()
        if self._transport is not None and not self._transport.is_closing():
            self._server.meter.sent_bytes += len(data)
            self._transport.write(data)

    def write_answer(self, data: bytes) -> None:
        """Write one whole response, together with those to the other clients of this turn."""
        if self._unsent:
            self.flush()
        self._unsent = data
        self._server.outbox.put(self)

    def flush(self) -> None:
        """Write the answer that waits for the end of the turn, if one does."""
        data, self._unsent = self._unsent, b""
        if data:
            self.write(data)

    def write_bounded(self, data: bytes) -> None:
        """Write a piece of a stream; cut a client that leaves too much unread.

        What is unsent counts, not what is added: one large message alone is no sign of a slow reader.
        """
        assert self._transport is not None
        self.flush()
        unsent = self._transport.get_write_buffer_size()
        if unsent and unsent + len(data) > self._limits.max_stream_buffer_bytes:
            self._cut("slow-reader", f"{unsent} bytes of a stream were not read")
        else:
            self.write(data)

    async def relief(self) -> None:
        """Wait while the client has much unread; a client that reads nothing at all is cut."""
        while self._write_paused and not self._closing:
            if self._relief is None:
                self._relief = self._loop.create_future()
            try:
                async with asyncio.timeout(self._limits.keep_alive_timeout_s):
                    await asyncio.shield(self._relief)
            except TimeoutError:
                self._cut("slow-reader", f"nothing was read for {self._limits.keep_alive_timeout_s} s")

    def _wake_writers(self) -> None:
        relief, self._relief = self._relief, None
        if relief is not None and not relief.done():
            relief.set_result(None)

    # -- closing --

    @property
    def idle(self) -> bool:
        """Whether nothing has been asked that is not answered."""
        return self._current is None and not self._waiting and not self._unparsed

    def close(self, *, at_once: bool = False) -> None:
        """Close after what is written is sent; a client that does not read it cannot keep the connection."""
        self._closing = True
        self.flush()
        if self._transport is not None:
            self._transport.abort() if at_once else self._transport.close()

    def _linger(self) -> None:
        """Close, but let the client read the answer first: unread input would reset the connection."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._waiting.clear()
        if self._unparsed is not None:
            self._unparsed = None
            self._transport.resume_reading()
        self.flush()
        self.deadline.set("linger")
        with contextlib.suppress(NotImplementedError, OSError):
            self._transport.write_eof()

    def _cut(self, reason: str, detail: str) -> None:
        if self._closing:
            return
        self._server.meter.rejected(reason)
        logger.warning("cut a client (%s): %s", reason, detail)
        self.close(at_once=True)

    def _time_is_up(self, expired: str) -> None:
        if expired in ("header", "body"):
            self._stop_reading(Refused(408, f"the {expired} of the request took too long"))
        elif expired == "linger" and self._has_unsent():
            self.deadline.set("flush")
        else:
            self.close(at_once=self._has_unsent())

    def _has_unsent(self) -> bool:
        return self._transport is not None and self._transport.get_write_buffer_size() > 0
