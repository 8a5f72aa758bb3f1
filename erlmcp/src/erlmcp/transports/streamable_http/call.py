"""One request being served over HTTP, in either era, from the start of its handler to its last byte.

It chooses late between one JSON object and an event stream: a stream begins with the first message that the
handler sends, or when a ping is due. The difference of the eras is in two flags of ``Rules``; what the
handler does is a function that is passed in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec

from erlmcp.dispatch.callers import enter
from erlmcp.dispatch.context import CallContext, CloseStream
from erlmcp.dispatch.kernel import fault_of, transport_context
from erlmcp.dispatch.listens import CURRENT_HOLDER, LISTEN, HandedOver, ListenStream
from erlmcp.protocol import jsonrpc, sse
from erlmcp.protocol.eras import MODERN
from erlmcp.protocol.faults import INTERNAL, REQUEST_CANCELLED, TIMED_OUT, Fault
from erlmcp.protocol.jsonrpc import Request
from erlmcp.sessions.sealed import SessionFacts
from erlmcp.telemetry import tracing
from erlmcp.telemetry.correlation import CURRENT
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Answering
from erlmcp.transports.streamable_http.http_view import starlette_request, without_session
from erlmcp.transports.streamable_http.service import TRANSPORT, Service
from erlmcp.transports.streamable_http.tracks import Track, Tracks, is_primed

logger = logging.getLogger(__name__)

_OWN_STATUSES: Final = (429, 503, 504)
_SLACK_S: Final = 0.001

Work = Callable[[CallContext], Coroutine[Any, Any, dict[str, Any]]]
Ask = Callable[["Call", str, Mapping[str, Any] | None, float | None], Coroutine[Any, Any, dict[str, Any]]]


class Resumption(msgspec.Struct, frozen=True):
    """What a call of a session needs for its client to come back to its stream."""

    tracks: Tracks
    facts: SessionFacts
    close_standing_stream: CloseStream


class Call:
    """One request being served.

    Args:
        service: what all calls of this worker share.
        exchange: where the answer goes.
        request: the decoded message.
        era: of the request; decides what a disconnect means and which statuses errors have.
        work: runs the handler; None for a subclass that makes its answer itself.
        ask: how the client can be asked something meanwhile; None when the era forbids it.
        resumption: makes its stream one that the client can come back to; None when it cannot.
        on_end: called once when the call is over.
    """

    def __init__(
        self,
        service: Service,
        exchange: Answering,
        request: Request,
        era: str,
        work: Work | None,
        *,
        ask: Ask | None = None,
        resumption: Resumption | None = None,
        on_end: Callable[[Call], None] | None = None,
    ) -> None:
        self.request = request
        self.client = service.client_of_request(exchange.request)
        self.is_listen = request.method == LISTEN
        self._service = service
        self._exchange = exchange
        self._era = era
        self._work = work
        self._ask = ask
        self._resumption = resumption
        self._track: Track | None = None
        self._on_end = on_end
        self._over = False
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._context: CallContext | None = None
        self._stream: ListenStream | None = None

    @property
    def context(self) -> CallContext:
        """What the handler can do meanwhile; made when it is first wanted."""
        if self._context is None:
            http, resumption = self._exchange.request, self._resumption
            headers = without_session(http) if self._era == MODERN else http.headers
            comes_back = resumption is not None and is_primed(resumption.facts)
            self._context = CallContext(
                self,
                self.request.id,
                self.request.params,
                transport_context(TRANSPORT, headers, can_ask=self._ask is not None),
                lambda: starlette_request(http, headers),
                close_stream=self._close_stream if comes_back else None,
                close_standing_stream=resumption.close_standing_stream if comes_back and resumption else None,
                address=http.peer,
                grant=http.grant,
            )
            if self._over:
                self._context.close()
        return self._context

    @property
    def began(self) -> float:
        """When it was started, in seconds of ``time.perf_counter``."""
        return self._began

    def start(self) -> None:
        """Begin to serve; the answer is written whenever it is ready."""
        service = self._service
        self._began = time.perf_counter()
        self._exchange.on_gone = self._client_gone
        self._task = service.loop.create_task(self._run())
        service.call_began(self)
        service.tick_later(self)

    # -- the channel of the handler --

    @property
    def can_ask(self) -> bool:
        """Whether the client can be asked something now."""
        reachable = self._track is not None or not self._exchange.gone
        return self._ask is not None and reachable and not self._over

    async def emit(self, message: bytes) -> None:
        """Send a message about this request; it makes the answer a stream."""
        if self._over:
            return
        self._open_stream()
        if self._track is not None:
            self._track.emit(message)
        else:
            self._exchange.send(sse.event(message))
        if self.is_listen and self._service.draining:
            self._service.end_listeners()  # it came over a kept connection: acknowledged, then ended
        await self._exchange.relief()

    def say(self, message: bytes) -> None:
        """Send a change on a listen stream; a client that leaves too much unread is cut."""
        if not self._over:
            self._exchange.send(sse.event(message))

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Ask the client on the stream of this request."""
        assert self._ask is not None, "can_ask was true"
        return await self._ask(self, method, params, timeout_s)

    def _open_stream(self) -> None:
        """From now on the answer is a stream; without a client there is nobody who could come back to it."""
        if self._exchange.streaming or self._exchange.gone:
            return
        self._exchange.start_stream()
        if self._resumption is not None:
            self._track = self._resumption.tracks.begin(self._resumption.facts, self.request.id)
            self._track.attach(self._exchange)

    async def _close_stream(self) -> None:
        """The handler wants the client to come back later instead of waiting."""
        if not self._over:
            self._open_stream()
        if self._track is not None:
            self._track.part()

    # -- ends --

    def finish(self, result: dict[str, Any]) -> None:
        """End a listen stream that has been handed over, with the result it is owed."""
        self._settle(jsonrpc.encode_result(self.request.id, result), None, "ok")

    def cancel(self) -> None:
        """The client does not want the answer any more."""
        self.context.cancel_requested.set()
        self._abandon(Fault(REQUEST_CANCELLED, "Request cancelled"))

    def end_listen(self) -> None:
        """End a listen stream that the SDK's handler does not end for us, with the result it is owed."""
        meta = {"io.modelcontextprotocol/subscriptionId": self.request.id}
        self._settle(
            jsonrpc.encode_result(self.request.id, {"resultType": "complete", "_meta": meta}), None, "ok"
        )
        self._cancel_task()

    def abort(self) -> set[asyncio.Task[None]]:
        """The worker closes; what is returned is still cleaning up."""
        task = self._task
        self._abandon(INTERNAL)
        return set() if task is None else {task}

    def _client_gone(self) -> None:
        """In the modern era it is how a client cancels; in the handshake era the call goes on."""
        if self._era == MODERN:
            if self._stream is None:
                self.context.cancel_requested.set()
            self._settle(b"", None, "ok" if self.is_listen else "cancelled")
            self._cancel_task()

    def _abandon(self, fault: Fault) -> None:
        self._settle(self._encode_fault(fault), fault, fault.outcome)
        self._cancel_task()

    def _cancel_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    # -- serving --

    async def _run(self) -> None:
        CURRENT.set(self._exchange)
        if self._service.traces:
            headers = self._exchange.request.headers
            tracing.enter(headers.raw(b"traceparent"), headers.raw(b"tracestate"))
        enter(self._exchange.request.grant)
        fault: Fault | None = None
        if self.is_listen:
            CURRENT_HOLDER.set(self)
        try:
            if self._service.hinder is not None:
                await self._service.hinder()
            payload, outcome = await self._answer()
        except HandedOver as handed_over:
            self._hold(handed_over.stream)
            return
        except BaseException as exc:
            if self._over:
                raise  # it is cancelled because it has been answered
            fault = fault_of(exc)
            outcome = fault.outcome
            payload = self._encode_fault(fault)
        self._settle(payload, fault, outcome)
        self._task = None

    def _hold(self, stream: ListenStream) -> None:
        """Hold an open stream from now on, and nothing that only its beginning needed."""
        if self._over:
            stream.leave()
            return
        self._stream = stream
        self._task = self._work = self._context = None
        self.request = Request(self.request.id, LISTEN, None)
        self._exchange.request.body = b""

    async def _answer(self) -> tuple[bytes, str]:
        """The answer, and how the meter counts it. Raises whatever the handler raises."""
        assert self._work is not None, "else a subclass answers"
        return self._encoded(await self._work(self.context))

    def _encoded(self, result: dict[str, Any]) -> tuple[bytes, str]:
        outcome = "tool_error" if result.get("isError") is True else "ok"
        return jsonrpc.encode_result(self.request.id, result), outcome

    def _encode_fault(self, fault: Fault) -> bytes:
        try:
            return jsonrpc.encode_fault(self.request.id, fault)
        except (msgspec.MsgspecError, TypeError, ValueError):
            logger.exception("the data of an error cannot be written as JSON")
            return jsonrpc.encode_fault(self.request.id, INTERNAL)

    def _called(self) -> tuple[str, bool]:
        """The name of the tool that is called, and whether the guest is known to have it."""
        return self.request.tool, False

    def _settle(self, payload: bytes, fault: Fault | None, outcome: str) -> None:
        """The one place where a call ends: answer, count, let go.

        Nothing may be left to the garbage collector, which stops everybody: what refers to it is let go.
        """
        if self._over:
            return
        self._over = True
        if self._context is not None:
            self._context.close()
        self._context = self._work = None
        if self._timer is not None:
            self._timer.cancel()
        service = self._service
        if fault is not None or outcome == "tool_error":  # whoever sees it may ask what happened
            self._exchange.tell_correlation()
            self._exchange.is_logged = service.logs_access
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.leave()
        if self._resumption is not None and self._track is not None:
            self._resumption.tracks.finish(self._track, payload)
        elif self._exchange.streaming:
            self._exchange.end(sse.event(payload))
        else:
            fields = heads.JSON if fault is None else heads.JSON + _retry(fault)
            self._exchange.respond(self._status(fault), payload, fields)
        seconds = time.perf_counter() - self._began
        correlation = self._exchange.told_correlation
        tool, exists = self._called()
        service.finished(
            self.request.method,
            self._era,
            outcome,
            seconds,
            correlation=correlation,
            tool=tool,
            tool_exists=exists,
        )
        service.call_ended(self)
        service.no_tick(self)
        if self._on_end is not None:
            self._on_end(self)

    def _status(self, fault: Fault | None) -> int:
        """A status of its own would tell a client of the handshake era that its session is gone."""
        if fault is None:
            return 200
        status = fault.http_status
        return status if self._era == MODERN or status in _OWN_STATUSES else 200

    def tick(self) -> None:
        """Time passes: end the call when its time is up, else show the client that it is alive."""
        mcp = self._service.settings.mcp
        left_s = self._began + mcp.request_timeout_s - time.perf_counter()
        if self.is_listen:
            left_s = mcp.ping_interval_s
        elif left_s <= _SLACK_S:
            self._abandon(Fault(TIMED_OUT, f"the request took longer than {mcp.request_timeout_s:g} s"))
            return
        if not self._exchange.gone:
            self._open_stream()
            self._exchange.send(sse.PING)
        self._timer = self._service.loop.call_later(min(mcp.ping_interval_s, left_s), self.tick)


def _retry(fault: Fault | None) -> bytes:
    return b"retry-after: 1\r\n" if fault is not None and fault.http_status in (429, 503) else b""
