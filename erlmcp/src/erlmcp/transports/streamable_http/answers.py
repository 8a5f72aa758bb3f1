"""Answers that need no handler."""

from __future__ import annotations

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Answering


def refuse(
    exchange: Answering, request_id: RequestId | None, fault: Fault, *, retry_after_s: int = 0
) -> None:
    """Answer with a JSON-RPC error and its status."""
    status = fault.http_status
    fields = heads.JSON
    if retry_after_s or status in (429, 503):
        told_s = fault.data.get("retryAfterS") if isinstance(fault.data, dict) else None
        fields += heads.field(b"retry-after", str(retry_after_s or told_s or 1))
    if fault.challenge:
        fields += heads.field(b"www-authenticate", fault.challenge)
    exchange.respond(status, jsonrpc.encode_fault(request_id, fault), fields)


def accept_message(exchange: Answering) -> None:
    """202: taken, and there is nothing to say about it."""
    exchange.respond(202)


def turn_away(exchange: Answering, status: int, reason: str, fields: bytes = b"") -> None:
    """Answer with a status and a sentence, for requests that are no message."""
    exchange.respond(status, reason.encode("utf-8") + b"\n", heads.PLAIN_TEXT + fields)
