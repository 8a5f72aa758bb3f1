"""One channel that a client and the server share: requests, answers and notifications of both, interleaved.

It knows the rules (era by the first request, initialize before anything else, cancellation by notification)
and nothing of bytes on a wire: ``receive`` takes one message, the ``Wire`` sends one. stdio, TCP, WebSocket
and HTTP+SSE each drive it. ``erlmcp.transports.duplex.channels`` makes it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from mcp.server.connection import Connection
from mcp.shared.dispatcher import CallOptions
from mcp_types import INVALID_REQUEST

from erlmcp.dispatch.context import CallContext, is_unwanted
from erlmcp.dispatch.kernel import new_connection, part
from erlmcp.dispatch.listens import LISTEN
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.eras import HANDSHAKE, MODERN
from erlmcp.protocol.faults import RATE_LIMITED, Fault
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.jsonrpc import Malformed, Notification, Request, RequestId
from erlmcp.protocol.log_levels import SET_LEVEL, level_in
from erlmcp.protocol.modern import check_envelope
from erlmcp.protocol.pinning import EraPin
from erlmcp.sessions.asking import Asking
from erlmcp.sessions.subscriptions import CURRENT_SUBSCRIBER, Subscriber, Subscriptions
from erlmcp.transports.duplex.call import ChannelCall
from erlmcp.transports.duplex.compiled_calls import CompiledCalls, modern_connection
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.wire import Wire
from erlmcp.transports.streamable_http.service import Service

MAX_NOTIFICATIONS: Final = 64
"""Notifications of one client that handlers may be busy with; more are dropped."""

MAX_HELD: Final = 64
"""Messages that wait behind ``initialize`` where the transport cannot stop reading."""
NEWCOMER_S: Final = 1.0
"""How long a drain waits for the first request of a client that has sent none yet."""


class DuplexChannel:
    """The server's end of one channel.

    Args:
        service: what all calls of this worker share.
        asking: the open questions of all channels.
        subscriptions: the resources that clients of channels have subscribed to.
        compiled: the short way of calls that need no kernel.
        wire: carries the messages.
        peer: who the client is and how it came.
        era: given where the transport serves only one.
    """

    def __init__(
        self,
        service: Service,
        asking: Asking,
        subscriptions: Subscriptions,
        compiled: CompiledCalls,
        wire: Wire,
        peer: Peer,
        era: str | None = None,
    ) -> None:
        self._service = service
        self._asking = asking
        self._subscriptions = subscriptions
        self._compiled = compiled
        self._wire = wire
        self._peer = peer
        self._pin = EraPin(era)
        self.name = os.urandom(8).hex()
        """Unique; for whoever waits for something of this channel."""
        self._connection: Connection = new_connection(self, None if peer.is_alone else self.name)
        self._log_level: str | None = None
        self._calls: dict[RequestId, ChannelCall] = {}
        self._held: deque[bytes] = deque()
        self._initializing = False
        self._notifications = 0
        self._served = False
        self._draining = False
        self._open = True

    @property
    def transport_name(self) -> str:
        """How metrics name the transport."""
        return self._peer.transport_name

    @property
    def grant(self) -> Grant | None:
        """The access token of the client, if any."""
        return self._peer.grant

    @property
    def client(self) -> str:
        """Under which name its requests are counted."""
        return self._service.client_of(self._peer.address, self._peer.principal)

    @property
    def is_open(self) -> bool:
        """Whether anything can still be sent."""
        return self._open

    @property
    def has_begun(self) -> bool:
        """Whether the client has sent its first request."""
        return self._pin.era is not None

    @property
    def is_full(self) -> bool:
        """Whether enough messages wait behind ``initialize``."""
        return len(self._held) >= MAX_HELD

    # -- what comes in --

    def receive(self, message: bytes) -> None:
        """Take one message; while ``initialize`` is being answered, what follows it waits."""
        if not self._open:
            return
        if self._initializing:
            self._held.append(message)
        elif self._pin.era is None or not self._takes_short_way(message):
            self._take_long_way(message)

    def refuse(self, fault: Fault) -> None:
        """What the client has sent cannot be read on: say so and close."""
        self.turn_away(fault, "malformed")

    def turn_away(self, fault: Fault, reason: str) -> None:
        """The client may not go on: say why and close; ``reason`` is how the meter counts it."""
        self._service.rejected(reason, self._peer.address)
        self._wire.send(jsonrpc.encode_fault(None, fault))
        self._wire.refuse()

    def expire(self) -> None:
        """The access token of the client is no longer good, and it cannot send another on this channel."""
        if self._open:
            self._service.meter.rejected("auth-expired")
            self._wire.refuse()

    def _take_long_way(self, raw: bytes) -> None:
        try:
            message = jsonrpc.decode(raw, max_depth=self._service.settings.mcp.max_json_depth)
        except Malformed as malformed:
            self._service.rejected("malformed", self._peer.address)
            self._wire.send(jsonrpc.encode_fault(malformed.id, malformed.fault))
            return
        if isinstance(message, Request):
            self._take_request(message)
        elif isinstance(message, Notification):
            self._take_notification(message)
        elif self._pin.era == HANDSHAKE:
            self._asking.answer(self.name, message)
        else:
            self._service.meter.rejected("response")  # an answer to it would be taken for something else

    def _takes_short_way(self, raw: bytes) -> bool:
        """Serve a plain call of a compiled tool; False when it must go the ordinary way."""
        service, connection, compiled = self._service, self._connection, self._compiled
        peer, wire, grant = self._peer, self._wire, self._peer.grant
        plain = compiled.plain(raw, grant)
        if plain is None or plain[0].id in self._calls:
            return False
        if service.may_be_full() and service.is_full_for(self.client):
            return False
        call, era, envelope = plain[0], self._pin.era or HANDSHAKE, None
        if era == MODERN:
            envelope = compiled.envelope(raw, call) if call.params.meta else None
            if envelope is None:
                return False
            version = envelope.protocol_version
        elif call.params.meta or connection.client_params is None:
            return False
        else:
            version = connection.protocol_version
        if service.call_wait_s(peer.address, "" if grant is None else grant.principal):
            return False
        ended, call_now = None, plain[1].now
        if call_now is not None and not wire.is_behind and service.turn.is_free:
            ended = compiled.answer_now(era, call, call_now, version, wire.answer, peer)
            if ended is None:
                if self._draining or not self._served:
                    self._has_served()
                return True
        make = partial(modern_connection, envelope) if envelope is not None else lambda: connection
        self._start(compiled.start(self, era, plain, version, make, self._context_of, ended))
        return True

    def _take_request(self, request: Request) -> None:
        fault = self._pin.judge(request) or self._fault_of(request)
        if fault is not None:
            self._service.refused(request, self._pin.era or HANDSHAKE, fault, self.transport_name)
            self._wire.send(jsonrpc.encode_fault(request.id, fault))
        elif self._pin.era == MODERN:
            self._serve_modern(request)
        else:
            self._serve_handshake(request)

    def _fault_of(self, request: Request) -> Fault | None:
        if request.id in self._calls:
            return Fault(INVALID_REQUEST, "Invalid request: the id belongs to a request that is being served")
        if request.method == "initialize" and self._connection.client_params is not None:
            return Fault(INVALID_REQUEST, "Invalid request: the channel is initialized already")
        wait_s = self._service.rate_limit.wait_s(self._peer.address, self._peer.principal)
        if wait_s:
            self._service.meter.rejected("rate")
            return Fault(RATE_LIMITED, "too many requests", {"retryAfterS": wait_s})
        is_stream = request.method == LISTEN and self._pin.era == MODERN
        return self._service.fault_of(request, self._peer.address, self.grant, stream=is_stream)

    def _serve_modern(self, request: Request) -> None:
        envelope = check_envelope(request)
        if isinstance(envelope, Fault):
            self._service.refused(request, MODERN, envelope, self.transport_name)
            self._wire.send(jsonrpc.encode_fault(request.id, envelope))
            return

        async def work(context: CallContext) -> dict[str, Any]:
            return await self._service.tasks.modern(context, envelope, request.method, request.params)

        self._start(ChannelCall(self._service, self, request, MODERN, self._context_of, work))

    def _serve_handshake(self, request: Request) -> None:
        async def work(context: CallContext) -> dict[str, Any]:
            CURRENT_SUBSCRIBER.set(Subscriber(self._subscriptions, self.name))
            context.least_level = self._least_level
            result = await self._service.tasks.handshake(
                context, self._connection, request.method, request.params
            )
            if request.method == SET_LEVEL and (level := level_in(request.params)) is not None:
                self._log_level = level
            return result

        call = ChannelCall(self._service, self, request, HANDSHAKE, self._context_of, work)
        if request.method == "initialize":
            self._initializing = True
            self._wire.hold(reading=False)
        self._start(call)

    def _start(self, call: ChannelCall) -> None:
        self._calls[call.request.id] = call
        call.start()

    def _context_of(self, call: ChannelCall) -> CallContext:
        return self._peer.context(call, call.request.id, call.request.params)

    # -- notifications of the client --

    def _take_notification(self, notification: Notification) -> None:
        if notification.method == "notifications/cancelled":
            self._cancel((notification.params or {}).get("requestId"))
        elif self._pin.era == HANDSHAKE:
            self._hand_over(notification)

    def _cancel(self, raw_id: Any) -> None:
        """Unknown ids are ignored: the answer may have crossed. ``initialize`` cannot be cancelled."""
        request_id = jsonrpc.readable_id(raw_id)
        call = None if request_id is None else self._calls.get(request_id)
        if call is not None and call.request.method != "initialize":
            call.cancel()

    def _hand_over(self, notification: Notification) -> None:
        if self._notifications >= MAX_NOTIFICATIONS:
            self._service.meter.rejected("notifications")
            return
        self._notifications += 1
        self._service.in_background(self._service.loop.create_task(self._notify_guest(notification)))

    async def _notify_guest(self, notification: Notification) -> None:
        context = self._peer.context(self, None, notification.params)
        try:
            await self._service.kernel.notification(
                context, self._connection, notification.method, notification.params
            )
        finally:
            self._notifications -= 1

    # -- what goes out --

    can_ask = False
    """For handlers of notifications, which have no request to ask about."""

    async def emit(self, message: bytes) -> None:
        """Send a message, and wait while the client has much unread."""
        self._wire.send(message)
        await self._wire.relief()

    def send(self, message: bytes) -> None:
        """Send a message at once."""
        self._wire.send(message)

    async def answer(self, message: bytes) -> None:
        """Send an answer as soon as the client has read enough of what came before."""
        await self._wire.relief()
        self._wire.answer(message)

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Ask the client.

        Raises:
            MCPError: its error, or no answer in time.
        """
        if timeout_s is None:
            timeout_s = self._service.settings.mcp.request_timeout_s
        return await self._asking.ask(self.name, method, params, timeout_s, self.emit)

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the client outside any request; part of the SDK's ``Outbound``."""
        return await self.ask(method, params, (opts or {}).get("timeout"))

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002 - part of the SDK's protocol
    ) -> None:
        """Send a notification outside any request; part of the SDK's ``Outbound``."""
        if is_unwanted(method, params, self._least_level):
            return
        await self.emit(jsonrpc.encode_notification(method, None if params is None else dict(params)))

    def _least_level(self) -> str | None:
        return self._log_level

    def tell_change(self, message: bytes) -> None:
        """Send a change notification of the handshake era, if this client has shaken hands."""
        if self._pin.era == HANDSHAKE and self._connection.initialized.is_set():
            self._wire.send(message)

    # -- ends --

    def call_ended(self, call: ChannelCall) -> None:
        """A call is over: go on with what waited for it, or leave when nothing is left to do."""
        self._served = True
        if self._calls.get(call.request.id) is call:
            del self._calls[call.request.id]
        if call.request.method == "initialize":
            self._service.loop.call_soon(self._release_held)
        self._leave_if_done()

    def begin_drain(self) -> None:
        """Leave as soon as everything is answered; a client that has only just come is served first."""
        self._draining = True
        if not self._served:
            self._service.loop.call_later(NEWCOMER_S, self._has_served)
        self._leave_if_done()

    def _has_served(self) -> None:
        self._served = True
        self._leave_if_done()

    def finish(self) -> None:
        """The client asks no more: its subscriptions are over, and it is left when the rest is answered."""
        self._draining = self._served = True
        for call in list(self._calls.values()):
            if call.is_listen:
                call.cancel()
        self._leave_if_done()

    def resume(self) -> None:
        """Undo ``begin_drain``, if it has not left yet."""
        self._draining = False

    def close(self) -> None:
        """Leave now; what is being served is lost."""
        if self._open:
            self._wire.leave()

    def gone(self) -> None:
        """The client is gone: in both eras that ends everything it wanted."""
        if not self._open:
            return
        self._open = False
        self._held.clear()
        self._subscriptions.end(self.name)
        for call in list(self._calls.values()):
            call.cancel()
        self._service.in_background(self._service.loop.create_task(part(self._connection)))

    def _release_held(self) -> None:
        self._initializing = False
        while self._held and self._open and not self._initializing:
            self.receive(self._held.popleft())
        if not self._initializing:
            self._wire.hold(reading=True)

    def _leave_if_done(self) -> None:
        if self._draining and self._open and self._served and not self._calls and not self._held:
            self._wire.leave()
