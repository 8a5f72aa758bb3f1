"""Requests of the modern era: each describes itself, none depends on another."""

from __future__ import annotations

from typing import Any

from mcp_types import INVALID_REQUEST

from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.listens import LISTEN
from erlmcp.protocol.eras import MODERN
from erlmcp.protocol.faults import ENVELOPE_STATUS, Fault, FaultError
from erlmcp.protocol.jsonrpc import Message, Notification, Request
from erlmcp.protocol.modern import Envelope, check_params, check_request, check_version, wants_param_check
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.streamable_http.answers import accept_message, refuse
from erlmcp.transports.streamable_http.call import Call
from erlmcp.transports.streamable_http.service import Service


class ModernRequests:
    """Serves messages of the modern era."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def serve(self, exchange: Exchange, message: Message) -> None:
        """Answer one message, now or later."""
        if isinstance(message, Request):
            self._serve_request(exchange, message)
        elif isinstance(message, Notification):
            self._take_notification(exchange)
        else:
            fault = Fault(INVALID_REQUEST, "Invalid request: no response is awaited", status=ENVELOPE_STATUS)
            refuse(exchange, message.id, fault)

    def _take_notification(self, exchange: Exchange) -> None:
        """Nothing is defined for a client to notify; the closed response stream is how it cancels."""
        fault = check_version(exchange.request.headers.get("mcp-protocol-version", ""))
        if fault is None:
            accept_message(exchange)
        else:
            refuse(exchange, None, fault)

    def _serve_request(self, exchange: Exchange, request: Request) -> None:
        envelope = check_request(request, exchange.request.headers)
        if isinstance(envelope, Fault):
            self._service.refuse(exchange, request, MODERN, envelope)
            return
        http = exchange.request
        fault = self._service.fault_of(request, http.peer, http.grant, stream=request.method == LISTEN)
        if fault is not None:
            self._service.refuse(exchange, request, MODERN, fault)
            return

        async def work(context: CallContext) -> dict[str, Any]:
            if wants_param_check(request, exchange.request.headers):
                await self._check_params(context, exchange, request, facts)
            return await self._service.tasks.modern(context, facts, request.method, request.params)

        facts: Envelope = envelope
        Call(self._service, exchange, request, MODERN, work).start()

    async def _check_params(
        self, context: CallContext, exchange: Exchange, request: Request, envelope: Envelope
    ) -> None:
        params = request.params or {}
        name = params.get("name")
        if not isinstance(name, str):
            return

        async def list_page(cursor: str | None) -> dict[str, Any]:
            page = (
                {"_meta": params["_meta"]} if cursor is None else {"_meta": params["_meta"], "cursor": cursor}
            )
            return await self._service.kernel.modern(context, envelope, "tools/list", page)

        schema = await self._service.tool_schemas.find(name, list_page)
        fault = None if schema is None else check_params(schema, request, exchange.request.headers)
        if fault is not None:
            raise FaultError(fault)
