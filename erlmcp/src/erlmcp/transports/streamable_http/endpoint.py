"""The MCP endpoint on HTTP: one path, both eras. It checks what concerns every request and passes it on.

Order of checks: path, Host and Origin, access token, method, rate, media types, JSON, era. What follows is in
``modern`` and ``handshake``.
"""

from __future__ import annotations

from functools import partial

from erlmcp.edge.bans import MALFORMED
from erlmcp.edge.host_origin import Guard, cors_fields, preflight_fields
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.eras import MODERN, era_of
from erlmcp.protocol.faults import RATE_LIMITED, Fault
from erlmcp.protocol.headers import accepts, is_json
from erlmcp.protocol.jsonrpc import Malformed, Message, RequestId
from erlmcp.transports.admission import Admission
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.streamable_http.answers import refuse, turn_away
from erlmcp.transports.streamable_http.compiled_calls import CompiledCalls, JudgedHead
from erlmcp.transports.streamable_http.handshake import HandshakeRequests
from erlmcp.transports.streamable_http.modern import ModernRequests
from erlmcp.transports.streamable_http.service import Service

_REFUSED = object()
"""The judgement of a head that has not passed all checks; each request with it is told why."""
_ALLOW = b"allow: GET, POST, DELETE, OPTIONS\r\n"


class Endpoint:
    """Handles the exchanges of the HTTP server."""

    def __init__(
        self, service: Service, handshake: HandshakeRequests, admission: Admission | None = None
    ) -> None:
        self._service = service
        self._admission = admission
        self._modern = ModernRequests(service)
        self._handshake = handshake
        self._path = service.settings.mcp.path.encode("utf-8")
        self._guard = Guard(service.settings.mcp)
        self._max_depth = service.settings.mcp.max_json_depth
        self._compiled = CompiledCalls(service, handshake, admission.gate if admission else None)

    def handle(self, exchange: Exchange) -> None:
        """Answer one HTTP request, now or later."""
        request = exchange.request
        known = request.known
        if known is not None:
            if known.judged is None:
                known.judged = self._judge(request)
                if isinstance(known.judged, JudgedHead) and request.keep_alive and request.is_1_1:
                    known.at_once = partial(self._compiled.serve_now, known.judged)
            if known.judged is not _REFUSED:
                if self._admission is None:
                    self._post_judged(exchange, known.judged)
                else:
                    self._admission.admit(exchange, partial(self._post_judged, head=known.judged))
                return
        if request.target != self._path and request.path != self._path:
            turn_away(exchange, 404, "not found")
            return
        refused = self._guard.refusal(request.headers, request.local)
        if refused is not None:
            self._service.meter.rejected("host-origin")
            turn_away(exchange, *refused)
            return
        exchange.extra = cors_fields(request.headers)
        if self._admission is None:
            self._serve(exchange)
        else:
            self._admission.admit(exchange, self._serve)

    def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method == b"POST":
            self._post(exchange)
        elif request.method == b"GET":
            self._handshake.open_stream(exchange)
        elif request.method == b"DELETE":
            self._handshake.end_session(exchange)
        elif request.method == b"OPTIONS":
            exchange.respond(204, fields=preflight_fields(request.headers))
        else:
            turn_away(exchange, 405, "POST, GET and DELETE are served", _ALLOW)

    def _judge(self, request: HttpRequest) -> JudgedHead | object:
        """What a head says by itself, if it passes all checks of a POST; they depend on nothing else, except
        for pages of a browser, whose address counts."""
        headers = request.headers
        if (
            request.method != b"POST"
            or request.path != self._path
            or headers.raw(b"origin") is not None
            or self._guard.refusal(headers, None) is not None
            or accepts(headers) != (True, True)
            or not is_json(headers)
        ):
            return _REFUSED
        return JudgedHead(headers)

    def _post_judged(self, exchange: Exchange, head: JudgedHead) -> None:
        if self._is_within_rate(exchange) and not self._compiled.serve(exchange, head):
            self._take_message(exchange)

    def _is_within_rate(self, exchange: Exchange) -> bool:
        request = exchange.request
        wait_s = self._service.rate_limit.wait_s(request.peer, request.principal)
        if wait_s:
            self._service.meter.rejected("rate")
            fault = Fault(RATE_LIMITED, "too many requests")
            refuse(exchange, self._id_in(request.body), fault, retry_after_s=wait_s)
        return not wait_s

    def _post(self, exchange: Exchange) -> None:
        request = exchange.request
        if not self._is_within_rate(exchange):
            return
        if accepts(request.headers) != (True, True):
            turn_away(exchange, 406, "Accept must list application/json and text/event-stream")
            return
        if not is_json(request.headers):
            turn_away(exchange, 415, "Content-Type must be application/json")
            return
        self._take_message(exchange)

    def _take_message(self, exchange: Exchange) -> None:
        request = exchange.request
        if jsonrpc.is_batch(request.body):
            self._batch(exchange)
            return
        try:
            message = jsonrpc.decode(request.body, max_depth=self._max_depth)
        except Malformed as malformed:
            self._service.rejected(MALFORMED, request.peer)
            refuse(exchange, malformed.id, malformed.fault)
            return
        self._route(exchange, message)

    def _batch(self, exchange: Exchange) -> None:
        request = exchange.request
        try:
            messages = jsonrpc.decode_batch(request.body, max_depth=self._max_depth)
        except Malformed as malformed:
            self._service.rejected(MALFORMED, request.peer)
            refuse(exchange, None, malformed.fault)
            return
        for _ in messages[1:]:  # each counts against the rate; the first has been counted
            wait_s = self._service.rate_limit.wait_s(request.peer, request.principal)
            if wait_s:
                self._service.meter.rejected("rate")
                fault = Fault(RATE_LIMITED, "too many requests")
                refuse(exchange, None, fault, retry_after_s=wait_s)
                return
        self._handshake.serve_batch(exchange, messages)

    def _route(self, exchange: Exchange, message: Message) -> None:
        headers = exchange.request.headers
        era = era_of(
            message,
            version_header=headers.get("mcp-protocol-version"),
            has_session=headers.raw(b"mcp-session-id") is not None,
        )
        if era == MODERN:
            self._modern.serve(exchange, message)
        else:
            self._handshake.serve(exchange, message)

    def _id_in(self, body: bytes) -> RequestId | None:
        try:
            message = jsonrpc.decode(body, max_depth=self._max_depth)
        except Malformed as malformed:
            return malformed.id
        return getattr(message, "id", None)
