"""One request being served on a shared channel, from the start of its handler to its answer.

Everything about it goes out on the channel it came in on, between the messages of others. It differs from a
call over HTTP (``erlmcp.transports.streamable_http.call``) in what ends it: a notification cancels it, and
then nothing more is said about it; so does the end of the channel.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cached_property
from typing import Any, Protocol

import msgspec

from erlmcp.dispatch.callers import enter
from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.kernel import fault_of
from erlmcp.dispatch.listens import CURRENT_HOLDER, LISTEN, HandedOver, ListenStream
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.eras import HANDSHAKE
from erlmcp.protocol.faults import INTERNAL, TIMED_OUT, Fault
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.jsonrpc import Request
from erlmcp.telemetry.correlation import CURRENT, Correlation
from erlmcp.transports.streamable_http.service import Service

logger = logging.getLogger(__name__)

Work = Callable[[CallContext], Coroutine[Any, Any, dict[str, Any]]]


class Line(Protocol):
    """What a call needs of its channel."""

    @property
    def transport_name(self) -> str:
        """How metrics name the transport."""

    @property
    def grant(self) -> Grant | None:
        """The access token of the client; None where none is asked for."""

    @property
    def client(self) -> str:
        """Under which name its requests are counted."""

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""

    def send(self, message: bytes) -> None:
        """Send a message at once."""

    async def emit(self, message: bytes) -> None:
        """Send a message, and wait while the client has much unread."""

    async def answer(self, message: bytes) -> None:
        """Send an answer as soon as the client has read enough of what came before."""

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Send a request to the client and wait for its result."""

    def call_ended(self, call: ChannelCall) -> None:
        """The call is over."""


class ChannelCall:
    """One request being served.

    Args:
        service: what all calls of this worker share.
        line: the channel.
        request: the decoded message.
        era: of the channel.
        make_context: the context of the handler, given the channel that it talks through.
        work: runs the handler; None for a subclass that makes its answer itself.
    """

    def __init__(
        self,
        service: Service,
        line: Line,
        request: Request,
        era: str,
        make_context: Callable[[ChannelCall], CallContext],
        work: Work | None,
    ) -> None:
        self.request = request
        self.client = ""
        self._service = service
        self._line = line
        self._era = era
        self._work = work
        self._over = False
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._make_context = make_context
        self._context: CallContext | None = None
        self._stream: ListenStream | None = None

    @cached_property
    def correlation(self) -> Correlation:
        """How this request is known in logs; on a channel there is no place to tell it to the client."""
        meta = (self.request.params or {}).get("_meta")
        trace = meta.get("traceparent") if isinstance(meta, dict) else None
        return Correlation(traceparent=trace.encode("ascii", "replace") if isinstance(trace, str) else None)

    @property
    def sent(self) -> bytes | Mapping[str, Any] | None:
        """What was sent with the request."""
        return self.request.params

    @property
    def context(self) -> CallContext:
        """What the handler can do; made when it is first asked for."""
        if self._context is None:
            self._context = self._make_context(self)
        return self._context

    @property
    def is_listen(self) -> bool:
        """Whether it is a listen stream."""
        return self.request.method == LISTEN

    def start(self) -> None:
        """Begin to serve; the answer is sent whenever it is ready."""
        service = self._service
        self._began = time.perf_counter()
        self.client = self._line.client
        service.call_began(self)
        self._task = service.loop.create_task(self._run())
        if not self.is_listen:
            service.tick_later(self)

    @property
    def began(self) -> float:
        """When it was started, in seconds of ``time.perf_counter``."""
        return self._began

    def tick(self) -> None:
        """It runs for some time already: watch over the rest of its time."""
        left_s = self._began + self._service.settings.mcp.request_timeout_s - time.perf_counter()
        self._timer = self._service.loop.call_later(max(0.0, left_s), self._time_is_up)

    # -- the channel of the handler --

    @property
    def can_ask(self) -> bool:
        """Whether the client can be asked something now."""
        return self._era == HANDSHAKE and self._line.is_open and not self._over

    async def emit(self, message: bytes) -> None:
        """Send a message about this request."""
        if self._over:
            return
        await self._line.emit(message)
        if self.is_listen and self._service.draining:
            self._service.end_listeners()  # it came while the channel was being closed: acknowledged, ended

    def say(self, message: bytes) -> None:
        """Send a change on a listen stream; a client that leaves too much unread is cut."""
        if not self._over:
            self._line.send(message)

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Ask the client."""
        return await self._line.ask(method, params, timeout_s)

    # -- ends --

    def cancel(self) -> None:
        """The client does not want the answer any more, or is gone: nothing more is sent."""
        if self._stream is None:
            self.context.cancel_requested.set()
        self._settle("ok" if self.is_listen else "cancelled")
        self._cancel_task()

    def finish(self, result: dict[str, Any]) -> None:
        """End a listen stream that has been handed over, with the result it is owed."""
        if not self._over:
            for message in [*self._ending(), jsonrpc.encode_result(self.request.id, result)]:
                self._line.send(message)
            self._settle("ok")

    def end_listen(self) -> None:
        """End a listen stream that the SDK's handler does not end for us, with the result it is owed."""
        meta = {"io.modelcontextprotocol/subscriptionId": self.request.id}
        result = jsonrpc.encode_result(self.request.id, {"resultType": "complete", "_meta": meta})
        self._replace([*self._ending(), result], "ok")

    def abort(self) -> set[asyncio.Task[None]]:
        """The worker closes; what is returned is still cleaning up."""
        task = self._task
        self._replace([jsonrpc.encode_fault(self.request.id, INTERNAL)], INTERNAL.outcome)
        return set() if task is None else {task}

    def _time_is_up(self) -> None:
        timeout_s = self._service.settings.mcp.request_timeout_s
        fault = Fault(TIMED_OUT, f"the request took longer than {timeout_s:g} s")
        self._replace([jsonrpc.encode_fault(self.request.id, fault)], fault.outcome)

    def _replace(self, messages: list[bytes], outcome: str) -> None:
        """Answer in place of the handler."""
        if not self._over:
            for message in messages:
                self._line.send(message)
            self._settle(outcome)
        self._cancel_task()

    def _cancel_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    # -- serving --

    async def _run(self) -> None:
        CURRENT.set(self)
        enter(self._line.grant)
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
        else:
            for message in self._ending():
                await self._line.answer(message)
        self._close_context()
        await self._line.answer(payload)
        self._settle(outcome)
        self._task = None

    def _hold(self, stream: ListenStream) -> None:
        """Hold an open stream from now on, and nothing that only its beginning needed."""
        if self._over:
            stream.leave()
            return
        self._stream = stream
        self._task = self._work = self._context = None
        self.correlation  # noqa: B018 - found out while the parameters are there
        self.request = Request(self.request.id, LISTEN, None)

    async def _answer(self) -> tuple[bytes, str]:
        """The answer, and how the meter counts it. Raises whatever the handler raises."""
        assert self._work is not None, "else a subclass answers"
        return self._encoded(await self._work(self.context))

    def _encoded(self, result: dict[str, Any]) -> tuple[bytes, str]:
        outcome = "tool_error" if result.get("isError") is True else "ok"
        return jsonrpc.encode_result(self.request.id, result), outcome

    def _close_context(self) -> None:
        if self._context is not None:
            self._context.close()

    def _ending(self) -> list[bytes]:
        """What goes before the result of a listen stream: only the server's own end of it has one."""
        if not self.is_listen:
            return []
        params = {"requestId": self.request.id, "reason": "the server ends the subscription"}
        return [jsonrpc.encode_notification("notifications/cancelled", params)]

    def _encode_fault(self, fault: Fault) -> bytes:
        try:
            return jsonrpc.encode_fault(self.request.id, fault)
        except (msgspec.MsgspecError, TypeError, ValueError):
            logger.exception("the data of an error cannot be written as JSON")
            return jsonrpc.encode_fault(self.request.id, INTERNAL)

    def _called(self) -> tuple[str, bool]:
        """The name of the tool that is called, and whether the guest is known to have it."""
        return self.request.tool, False

    def _settle(self, outcome: str) -> None:
        """The one place where a call ends: count it, let it go.

        Nothing may be left to the garbage collector, which stops everybody: what refers to it is let go.
        """
        if self._over:
            return
        self._over = True
        self._close_context()
        self._context = self._work = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.leave()
        if self._timer is not None:
            self._timer.cancel()
        seconds = time.perf_counter() - self._began
        tool, exists = self._called()
        self._service.finished(
            self.request.method,
            self._era,
            outcome,
            seconds,
            self._line.transport_name,
            self.correlation if self.correlation.is_told else None,
            tool,
            tool_exists=exists,
        )
        self._service.call_ended(self)
        self._service.no_tick(self)
        self._line.call_ended(self)
