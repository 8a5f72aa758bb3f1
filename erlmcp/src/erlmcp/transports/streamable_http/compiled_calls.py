"""The short way of the most frequent request: a call of a tool that needs no kernel.

It takes a request only when its head is known, its body is a plain call and its tool is compiled; everything
else, also whatever must be refused, goes the ordinary way. What is found out about a head or an envelope is
found by the ordinary checks and kept, since the same bytes always fare the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from mcp.server.connection import Connection
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.methods import validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from erlmcp.dispatch.compiled_tools import Answer, Compiled, CompiledTools, Unwritten
from erlmcp.dispatch.compiling import compiled_tools
from erlmcp.dispatch.on_demand import OnDemand
from erlmcp.edge.auth.gate import Gate
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.eras import HANDSHAKE, MODERN, is_modern_version
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.headers import Headers
from erlmcp.protocol.jsonrpc import Malformed, Request
from erlmcp.protocol.modern import Envelope, check_request
from erlmcp.protocol.plain_call import PlainCall, decode_plain_call
from erlmcp.sessions.sealed import SessionFacts
from erlmcp.telemetry.correlation import FIELD, Correlation
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.known_heads import AtOnceWire, KnownHead, Passing
from erlmcp.transports.streamable_http.call import Ask, Call, Resumption
from erlmcp.transports.streamable_http.handshake import HandshakeRequests
from erlmcp.transports.streamable_http.live import LiveSession
from erlmcp.transports.streamable_http.service import TRANSPORT, Service

PLAIN_META: Final = {PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY}
_MAX_ENVELOPES: Final = 64
_MAX_ENVELOPE_BYTES: Final = 4_096


class JudgedHead:
    """What follows from a head that has passed the checks of the endpoint."""

    __slots__ = ("envelopes", "facts", "may_be_modern", "owner", "ring_version", "session_id")

    def __init__(self, headers: Headers) -> None:
        version = headers.get("mcp-protocol-version")
        mirrored = any(name.startswith(b"mcp-param-") for name, _ in headers.pairs())
        self.may_be_modern = is_modern_version(version) and not mirrored
        handshake = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        self.session_id = headers.get("mcp-session-id") if handshake and not headers.repeated else None
        self.facts: SessionFacts | None = None
        self.owner = ""
        """Who has asked for them."""
        self.ring_version = 0
        """Of the keys that have opened them."""
        self.envelopes: dict[bytes, tuple[str, Envelope]] = {}


class CompiledCalls:
    """Serves plain calls of compiled tools."""

    def __init__(self, service: Service, handshake: HandshakeRequests, gate: Gate | None = None) -> None:
        self._service = service
        self._handshake = handshake
        self._gate = gate
        self._tools = compiled_tools(service.guest)
        self._max_depth = service.settings.mcp.max_json_depth

    def serve_now(
        self, head: JudgedHead, wire: AtOnceWire, known: KnownHead, body: bytes, passing: Passing
    ) -> bool:
        """Answer a call of a tool that never waits, in the turn in which it was read: no task, no exchange.

        Its envelope has been seen with this head before, so ``serve`` has put it through every check.
        False if it must go the ordinary way, and then nothing has happened.
        """
        service, turn, grant = self._service, self._service.turn, None
        if self._gate is not None and (grant := _granted(self._gate, known)) is None:
            return False
        principal = "" if grant is None else grant.principal
        call = decode_plain_call(body, max_depth=self._max_depth)
        if call is None:
            return False
        plain = call.params
        tool = self._tools.find(plain.name)
        call_now = None if tool is None or service.is_full or not turn.is_free else tool.now
        if tool is None or call_now is None or not service.has_short_way(plain.name, grant):
            return False
        session = None
        if plain.meta:
            approved = head.envelopes.get(bytes(plain.meta))
            if approved is None or approved[0] != plain.name or not head.may_be_modern:
                return False
            era, version = MODERN, approved[1].protocol_version
        else:
            session = self._session(head, grant)
            if session is None:
                return False
            era, version = HANDSHAKE, session.facts.protocol_version
        if service.call_wait_s(wire.client_of(known), principal):
            return False  # nothing was taken; the ordinary way finds the same and says it
        began = time.perf_counter()
        correlation = Correlation.of(passing) if passing else Correlation()
        correlation.sent = body
        try:
            shapes = self._tools.shapes(version)
            answer = call_now(call.id, plain.arguments, shapes, turn.for_request(correlation, grant))
        except BaseException as ended:  # noqa: BLE001 - a task raises it, as for any other tool
            exchange = wire.exchange_for(known, body, passing)
            exchange.request.grant = grant
            self._start(exchange, head, call, tool, session, ended)
            return True
        fields = heads.field(FIELD, correlation.request_id) if answer.failed else b""
        wire.answer_json(answer.payload, fields)
        if grant is not None:
            service.meter.token_judged("accepted")
        outcome = "tool_error" if answer.failed else "ok"
        told = correlation if passing or correlation.known_id else None
        took_s = time.perf_counter() - began
        service.finished_call(era, outcome, took_s, TRANSPORT, told, plain.name)
        if session is not None:
            self._handshake.used(session)
        return True

    def serve(self, exchange: Exchange, head: JudgedHead) -> bool:
        """Serve the request; False if it must go the ordinary way, and then nothing has happened."""
        body = exchange.request.body
        if not head.may_be_modern and head.session_id is None:
            return False
        call = decode_plain_call(body, max_depth=self._max_depth)
        if call is None:
            return False
        name, request, service = call.params.name, exchange.request, self._service
        tool = self._tools.find(name)
        if tool is None or (
            service.may_be_full() and service.is_full_for(service.client_of_request(request))
        ):
            return False
        if not service.has_short_way(name, request.grant):
            return False
        if service.rate_limit.call_wait_s(service.client_of_request(request)):
            return False  # the ordinary way finds the same and says it
        if call.params.meta:
            return head.may_be_modern and self._serve_modern(exchange, head, call, tool)
        return head.session_id is not None and self._serve_in_session(exchange, head, call, tool)

    def _serve_modern(self, exchange: Exchange, head: JudgedHead, call: PlainCall, tool: Compiled) -> bool:
        approved = head.envelopes.get(bytes(call.params.meta))
        if approved is None or approved[0] != call.params.name:
            approved = self._approve(exchange, head, call)
            if approved is None:
                return False
        self._start_modern(exchange, call, tool, approved[1])
        return True

    def _approve(self, exchange: Exchange, head: JudgedHead, call: PlainCall) -> tuple[str, Envelope] | None:
        """Put an envelope that was not seen with this head through the ordinary checks, and remember it."""
        try:
            request = jsonrpc.decode(exchange.request.body, max_depth=self._max_depth)
        except Malformed:
            return None
        if not isinstance(request, Request) or request.params is None:
            return None
        meta = request.params["_meta"]
        if not isinstance(meta, dict) or not meta.keys() <= PLAIN_META:
            return None
        envelope = check_request(request, exchange.request.headers)
        if isinstance(envelope, Fault) or not is_taken_by_the_kernel(envelope, request.params):
            return None
        approved = (call.params.name, envelope)
        key = bytes(call.params.meta)
        if len(key) <= _MAX_ENVELOPE_BYTES:
            if len(head.envelopes) >= _MAX_ENVELOPES:
                head.envelopes.clear()
            head.envelopes[key] = approved
        return approved

    def _serve_in_session(
        self, exchange: Exchange, head: JudgedHead, call: PlainCall, tool: Compiled
    ) -> bool:
        session = self._session(head, exchange.request.grant)
        if session is None:
            return False
        self._start_in_session(exchange, call, tool, session)
        return True

    def _session(self, head: JudgedHead, grant: Grant | None) -> LiveSession | None:
        """The session that a head names, if it names one that is alive and belongs to whoever asks."""
        if head.session_id is None:
            return None
        ring_version, owner = self._handshake.ring_version, "" if grant is None else grant.principal
        facts = head.facts if head.ring_version == ring_version and head.owner == owner else None
        found = self._handshake.session_again(head.session_id, facts, owner)
        if found is not None:
            head.facts, head.ring_version, head.owner = found.facts, ring_version, owner
        return found

    def _start(
        self,
        exchange: Exchange,
        head: JudgedHead,
        call: PlainCall,
        tool: Compiled,
        session: LiveSession | None,
        ended: BaseException,
    ) -> None:
        """Let a task finish a call whose tool has run."""
        if session is not None:
            self._start_in_session(exchange, call, tool, session, ended)
        else:
            self._start_modern(exchange, call, tool, head.envelopes[bytes(call.params.meta)][1], ended)

    def _start_modern(
        self,
        exchange: Exchange,
        call: PlainCall,
        tool: Compiled,
        envelope: Envelope,
        ended: BaseException | None = None,
    ) -> None:
        def connection() -> Connection:
            return Connection.from_envelope(
                envelope.protocol_version, envelope.client_info, envelope.client_capabilities
            )

        version = envelope.protocol_version
        CompiledCall(
            self._service, exchange, MODERN, call, tool, self._tools, version, connection, ended=ended
        ).start()

    def _start_in_session(
        self,
        exchange: Exchange,
        call: PlainCall,
        tool: Compiled,
        session: LiveSession,
        ended: BaseException | None = None,
    ) -> None:
        compiled = CompiledCall(
            self._service,
            exchange,
            HANDSHAKE,
            call,
            tool,
            self._tools,
            session.facts.protocol_version,
            lambda: session.connection,
            ask=self._handshake.ask_of(session) if tool.looks_at_request else None,
            resumption=self._handshake.resumption_of(session),
            on_end=lambda over: self._handshake.call_ended(session, over),
            ended=ended,
        )
        session.calls[call.id] = compiled
        compiled.start()


def is_taken_by_the_kernel(envelope: Envelope, params: dict[str, Any]) -> bool:
    """Whether the kernel would serve a call with this envelope."""
    try:
        validate_client_request("tools/call", envelope.protocol_version, params)
        Connection.from_envelope(
            envelope.protocol_version, envelope.client_info, envelope.client_capabilities
        )
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _granted(gate: Gate, known: KnownHead) -> Grant | None:
    """The access token of a head, if it is known to be good."""
    verdict = gate.judge(known.request.headers, b"")
    return verdict if isinstance(verdict, Grant) else None


class CompiledCall(Call):
    """One call of a compiled tool. It is cancelled, timed and counted like any other."""

    __slots__ = ("_connection", "_ended", "_plain", "_tool", "_tools", "_version")

    def __init__(
        self,
        service: Service,
        exchange: Exchange,
        era: str,
        call: PlainCall,
        tool: Compiled,
        tools: CompiledTools,
        version: str,
        connection: Callable[[], Connection],
        ask: Ask | None = None,
        resumption: Resumption | None = None,
        on_end: Callable[[Call], None] | None = None,
        ended: BaseException | None = None,
    ) -> None:
        request = Request(call.id, "tools/call", None)
        super().__init__(service, exchange, request, era, None, ask=ask, resumption=resumption, on_end=on_end)
        self._ended = ended
        """What the tool ended with, if it has run already."""
        self._plain = call.params
        self._tool = tool
        self._tools = tools
        self._version = version
        self._connection = connection

    async def _answer(self) -> tuple[bytes, str]:
        tool, shapes, request_id = self._tool, self._tools.shapes(self._version), self.request.id
        try:
            if self._ended is not None:
                raise self._ended
            if tool.looks_at_request:
                return self._told(await self._service.kernel.call(tool, shapes, request_id, self._asked()))
            return self._told(await tool.call(request_id, self._plain.arguments, shapes))
        except Unwritten as unwritten:
            handler = unwritten.handler
        return self._encoded(await self._service.kernel.finish(self._asked(), handler))

    def _called(self) -> tuple[str, bool]:
        return self._plain.name, True

    def _told(self, answer: Answer | dict[str, Any]) -> tuple[bytes, str]:
        if isinstance(answer, dict):
            return self._encoded(answer)
        return answer.payload, "tool_error" if answer.failed else "ok"

    def _asked(self) -> OnDemand:
        return self._service.kernel.on_demand(
            self._plain, self._version, TRANSPORT, lambda: self.context, self._connection
        )
