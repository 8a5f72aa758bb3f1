"""Requests of the handshake era: ``initialize`` begins a session, its sealed id comes with all that follows.

Any worker with the key ring serves any of them. What is alive elsewhere (a waiting question, a running call,
the GET stream) is reached over the bus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import Any

import msgspec
from mcp.shared.exceptions import NoBackChannelError
from mcp_types import HEADER_MISMATCH, INVALID_REQUEST
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from erlmcp.dispatch.changes import resource_updated
from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.kernel import new_connection, transport_context
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.eras import HANDSHAKE
from erlmcp.protocol.faults import SESSION_TOO_LARGE, TOO_MANY_SESSIONS, Fault, FaultError
from erlmcp.protocol.headers import accepts
from erlmcp.protocol.jsonrpc import NO_BATCH, Malformed, Message, Notification, Request, Response
from erlmcp.protocol.log_levels import SET_LEVEL, level_in
from erlmcp.sessions.asking import Asking
from erlmcp.sessions.bus import CANCEL, RESOURCE_UPDATED, SESSION_ENDED, Bus, BusEvent
from erlmcp.sessions.event_store import EventLimits, EventStore
from erlmcp.sessions.registry import Sessions
from erlmcp.sessions.sealed import SessionFacts, SessionTooLargeError, UnknownSessionError
from erlmcp.sessions.subscriptions import CURRENT_SUBSCRIBER, Subscriber
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Answering, Exchange
from erlmcp.transports.streamable_http.answers import accept_message, refuse, turn_away
from erlmcp.transports.streamable_http.batch import Batch
from erlmcp.transports.streamable_http.call import Ask, Call, Resumption
from erlmcp.transports.streamable_http.get_streams import GetStreams
from erlmcp.transports.streamable_http.http_view import starlette_request
from erlmcp.transports.streamable_http.live import LiveSession, LiveSessions
from erlmcp.transports.streamable_http.service import TRANSPORT, Service
from erlmcp.transports.streamable_http.tracks import Tracks

_SESSION_FIELD = b"mcp-session-id"
BATCH_VERSION = "2025-03-26"
_NO_SESSION = Fault(INVALID_REQUEST, "Missing Mcp-Session-Id: initialize first", status=400)
_TOO_MANY_SESSIONS = Fault(TOO_MANY_SESSIONS, "too many sessions: end one, or try again later")
_MAX_RETRY_S = 60
"""Sessions may end at any time, so nobody is told to wait for long."""
_UNKNOWN_SESSION = Fault(INVALID_REQUEST, "Session not found: initialize again", status=404)


class HandshakeRequests:
    """Serves messages and streams of sessions."""

    def __init__(self, service: Service, sessions: Sessions, bus: Bus, worker: str) -> None:
        self._service = service
        self._sessions = sessions
        self._bus = bus
        self._asking = Asking(bus)
        self._live = LiveSessions(service, bus, self._asking, sessions.log_levels)
        self._tracks = _tracks(service)
        self._streams = GetStreams(service, sessions, bus, self._tracks, worker)
        self._unsubscribe = bus.subscribe(self._hear)
        sessions.when_ended(self._let_go)
        sessions.subscriptions.on_late = self._streams.perhaps_changed

    # -- POST --

    def serve(self, exchange: Answering, message: Message) -> None:
        """Answer one message, now or later."""
        if isinstance(message, Request) and message.method == "initialize":
            self._initialize(exchange, message)
            return
        request_id = None if isinstance(message, Notification) else message.id
        session = self._session_of(exchange, request_id)
        if session is None:
            return
        if isinstance(message, Request):
            self._serve_request(exchange, session, message)
        elif isinstance(message, Response):
            self._asking.answer(session.facts.sid, message)
            accept_message(exchange)
        else:
            accept_message(exchange)
            self._take_notification(exchange, session, message)

    def serve_batch(self, exchange: Exchange, messages: Sequence[Message | Malformed]) -> None:
        """Answer several messages that came as one, which exists in one revision only."""
        version = exchange.request.headers.get("mcp-protocol-version")
        if version not in (None, BATCH_VERSION) or not exchange.request.headers.get("mcp-session-id"):
            refuse(exchange, None, NO_BATCH)
            return
        session = self._session_of(exchange, None)
        if session is None:
            return
        if session.facts.protocol_version != BATCH_VERSION:
            refuse(exchange, None, NO_BATCH)
            return
        batch = Batch(exchange, len(messages))
        for message in messages:
            part = batch.part()
            if isinstance(message, Malformed):
                refuse(part, message.id, message.fault)
            elif isinstance(message, Request) and message.method == "initialize":
                fault = Fault(INVALID_REQUEST, "Invalid request: initialize comes alone")
                self._service.refuse(part, message, HANDSHAKE, fault)
            else:
                self.serve(part, message)

    def _initialize(self, exchange: Answering, request: Request) -> None:
        version = exchange.request.headers.get("mcp-protocol-version")
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            message = "initialize does not exist in the revision that the mcp-protocol-version header names"
            self._service.refuse(exchange, request, HANDSHAKE, Fault(HEADER_MISMATCH, message))
            return
        http = exchange.request
        fault = self._service.fault_of(request, http.peer, http.grant, stream=False)
        if fault is not None:
            self._service.refuse(exchange, request, HANDSHAKE, fault)
            return
        full_for_s = self._sessions.full_for_s()
        if full_for_s:
            self._service.meter.rejected("sessions")
            self._service.refused(request, HANDSHAKE, _TOO_MANY_SESSIONS)
            refuse(
                exchange, request.id, _TOO_MANY_SESSIONS, retry_after_s=min(ceil(full_for_s), _MAX_RETRY_S)
            )
            return

        async def work(context: CallContext) -> dict[str, Any]:
            # Its outbound leads nowhere: the session has no id before this has been answered.
            connection = new_connection(self._live.outbound(""))
            result = await self._service.kernel.handshake(context, connection, "initialize", request.params)
            session_id, _ = self._begin(exchange, connection.protocol_version, request.params or {})
            exchange.extra += heads.field(_SESSION_FIELD, session_id)
            return result

        Call(self._service, exchange, request, HANDSHAKE, work).start()

    def _begin(self, exchange: Answering, version: str, params: dict[str, Any]) -> tuple[str, SessionFacts]:
        client = {
            "capabilities": params.get("capabilities", {}),
            "clientInfo": _essential(params.get("clientInfo", {})),
        }
        try:
            return self._sessions.begin(version, client, exchange.request.principal)
        except SessionTooLargeError:
            raise FaultError(Fault(SESSION_TOO_LARGE, "the client's capabilities are too long")) from None

    def _session_of(self, exchange: Answering, request_id: jsonrpc.RequestId | None) -> LiveSession | None:
        """The session that a request names; when there is none the request is answered here."""
        session_id = exchange.request.headers.get("mcp-session-id")
        if not session_id:
            refuse(exchange, request_id, _NO_SESSION)
            return None
        try:
            facts = self._sessions.open(session_id, exchange.request.principal)
        except UnknownSessionError:
            self._service.meter.rejected("session")
            refuse(exchange, request_id, _UNKNOWN_SESSION)
            return None
        return self._live.ready(facts, session_id)

    @property
    def ring_version(self) -> int:
        """Facts that are known since an earlier request count while this stays the same."""
        return self._sessions.ring_version

    def session_again(self, session_id: str, facts: SessionFacts | None, owner: str) -> LiveSession | None:
        """The session of an id whose facts are known since an earlier request; None if it has ended.

        Args:
            owner: who asks, and has asked earlier.
        """
        try:
            facts = self._sessions.open(session_id, owner) if facts is None else self._sessions.resume(facts)
        except UnknownSessionError:
            return None
        return self._live.ready(facts, session_id)

    def resumption_of(self, session: LiveSession) -> Resumption:
        """What the calls of a session need for their client to come back to them."""
        if session.resumption is None:
            close_standing = partial(self._streams.close_standing, session.facts.sid)
            session.resumption = Resumption(self._tracks, session.facts, close_standing)
        return session.resumption

    def ask_of(self, session: LiveSession) -> Ask:
        """How the calls of a session ask its client."""

        async def ask(
            call: Call, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
        ) -> dict[str, Any]:
            return await self._asking.ask(session.facts.sid, method, params, timeout_s, call.emit)

        return ask

    def call_ended(self, session: LiveSession, call: Call) -> None:
        """A call of a session is over."""
        if session.calls.get(call.request.id) is call:
            del session.calls[call.request.id]
        self.used(session)

    def used(self, session: LiveSession) -> None:
        """A session is in use now."""
        self._sessions.use(session.facts.sid)

    def _serve_request(self, exchange: Answering, session: LiveSession, request: Request) -> None:
        http = exchange.request
        fault = self._service.fault_of(request, http.peer, http.grant, stream=False)
        if fault is not None:
            self._service.refuse(exchange, request, HANDSHAKE, fault)
            return

        async def work(context: CallContext) -> dict[str, Any]:
            sid, levels = session.facts.sid, self._sessions.log_levels
            CURRENT_SUBSCRIBER.set(Subscriber(self._sessions.subscriptions, sid))
            context.least_level = partial(levels.of, sid)
            result = await self._service.tasks.handshake(
                context, session.connection, request.method, request.params
            )
            if request.method == SET_LEVEL and (level := level_in(request.params)) is not None:
                levels.set(sid, level)
            return result

        def ended(call: Call) -> None:
            self.call_ended(session, call)

        resumption = self.resumption_of(session) if exchange.can_resume else None
        ask = self.ask_of(session)
        call = Call(
            self._service, exchange, request, HANDSHAKE, work, ask=ask, resumption=resumption, on_end=ended
        )
        session.calls[request.id] = call
        call.start()

    def _take_notification(
        self, exchange: Answering, session: LiveSession, notification: Notification
    ) -> None:
        params = notification.params
        if notification.method == "notifications/cancelled":
            self._cancel(session, (params or {}).get("requestId"))
            return
        http = exchange.request
        context = CallContext(
            _Nowhere(),
            None,
            params,
            transport_context(TRANSPORT, http.headers, can_ask=False),
            lambda: starlette_request(http, http.headers),
            grant=http.grant,
        )
        kernel = self._service.kernel
        self._service.in_background(
            self._service.loop.create_task(
                kernel.notification(context, session.connection, notification.method, params)
            )
        )

    def _cancel(self, session: LiveSession, raw_id: Any) -> None:
        request_id = jsonrpc.readable_id(raw_id)
        if request_id is None:
            return
        call = session.calls.get(request_id)
        if call is not None:
            call.cancel()
        else:
            self._bus.publish(BusEvent(CANCEL, session.facts.sid, msgspec.msgpack.encode(request_id)))

    # -- GET and DELETE --

    def open_stream(self, exchange: Exchange) -> None:
        """Open the session's standing stream, or one that the client has come back for."""
        if not accepts(exchange.request.headers)[1]:
            turn_away(exchange, 406, "a GET is answered with text/event-stream only")
            return
        session = self._session_of(exchange, None)
        if session is None:
            return
        self._streams.open(exchange, session)

    def end_session(self, exchange: Answering) -> None:
        """End the session in every worker."""
        session = self._session_of(exchange, None)
        if session is not None:
            self._sessions.end(session.facts)
            exchange.respond(200)

    # -- life --

    def end_streams(self) -> None:
        """Close every GET stream in good order; the clients open them again elsewhere."""
        self._streams.end_all()

    async def close(self) -> None:
        """Let go of everything that sessions hold here."""
        self._unsubscribe()
        self._streams.close()
        self._asking.close()
        self._sessions.close()
        await self._live.close()

    def _let_go(self, sid: str) -> None:
        """A session has ended: keep nothing of it."""
        self._live.drop(sid)
        self._streams.forget(sid)

    def _hear(self, event: BusEvent) -> None:
        if event.kind == SESSION_ENDED:
            self._let_go(event.key)
        elif event.kind == RESOURCE_UPDATED:
            sids = self._sessions.subscriptions.of(event.key)
            message = resource_updated(event.key)
            for sid in sids:
                self._streams.say(sid, message)
        elif event.kind == CANCEL:
            session = self._live.find(event.key)
            call = session.calls.get(msgspec.msgpack.decode(event.data)) if session is not None else None
            if call is not None:
                call.cancel()


def _tracks(service: Service) -> Tracks:
    mcp = service.settings.mcp
    limits = EventLimits(
        mcp.resume_max_events, mcp.resume_max_bytes, mcp.resume_total_bytes, mcp.resume_max_age_s
    )
    return Tracks(EventStore(limits, service.loop.time), round(mcp.resume_retry_s * 1000))


class _Nowhere:
    """The channel of a notification: there is no stream on which to say anything about it."""

    can_ask = False

    async def emit(self, message: bytes) -> None:
        """Drop it."""

    async def ask(self, method: str, *_: object) -> dict[str, Any]:
        """Refuse: an answer could not come back."""
        raise NoBackChannelError(method)


def _essential(client_info: Any) -> Any:
    """The client's name and version; icons and texts would make the id long and nobody reads them later."""
    if not isinstance(client_info, dict):
        return client_info
    return {key: client_info[key] for key in ("name", "version", "title") if key in client_info}
