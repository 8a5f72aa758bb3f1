"""What a modern request must carry, checked before any handler runs.

The ladder itself is the SDK's; here it gets the header values it expects: without blanks, with doubles
refused. It answers a fault, or the facts that a handler needs.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from mcp.shared.inbound import (
    MCP_PARAM_HEADER_PREFIX,
    InboundLadderRejection,
    classify_inbound_request,
    decode_header_value,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from mcp_types import HEADER_MISMATCH

from erlmcp.protocol import tasks
from erlmcp.protocol.faults import ENVELOPE_STATUS, Fault
from erlmcp.protocol.headers import Headers
from erlmcp.protocol.jsonrpc import Request

_ROUTING: Final = (b"mcp-protocol-version", b"mcp-method", b"mcp-name")
_PARAM_PREFIX: Final = MCP_PARAM_HEADER_PREFIX.lower().encode("ascii")


class Envelope(msgspec.Struct, frozen=True):
    """What a request says about its client; capabilities and info are as they came, unchecked."""

    protocol_version: str
    client_info: Any
    client_capabilities: Any


def check_request(request: Request, headers: Headers) -> Envelope | Fault:
    """The envelope of a modern request over HTTP, or why it is refused."""
    for name in headers.repeated:
        if name in _ROUTING or name.startswith(_PARAM_PREFIX):
            return Fault(HEADER_MISMATCH, f"{name.decode('latin-1')} header appears more than once")
    verdict = classify_inbound_request({"method": request.method, "params": request.params}, headers=headers)
    if isinstance(verdict, InboundLadderRejection):
        return _fault(verdict)
    if request.method in tasks.METHODS and not _names_its_task(request, headers):
        return Fault(
            HEADER_MISMATCH,
            "mcp-name header does not match the request body's 'taskId' parameter",
            None,
            ENVELOPE_STATUS,
        )
    return Envelope(verdict.protocol_version, verdict.client_info, verdict.client_capabilities)


def _names_its_task(request: Request, headers: Headers) -> bool:
    """Whether ``Mcp-Name`` repeats the task's id, which the SDK's ladder does not know of."""
    task_id = (request.params or {}).get("taskId")
    return task_id is None or decode_header_value(headers.get("mcp-name")) == task_id


def check_envelope(request: Request) -> Envelope | Fault:
    """The envelope of a modern request on a channel without headers, or why it is refused."""
    verdict = classify_inbound_request({"method": request.method, "params": request.params})
    if isinstance(verdict, InboundLadderRejection):
        return _fault(verdict)
    return Envelope(verdict.protocol_version, verdict.client_info, verdict.client_capabilities)


def check_version(version: str) -> Fault | None:
    """Why a notification with this version header is refused; None when it is taken."""
    rejection = unsupported_protocol_version_rejection(version)
    return None if rejection is None else _fault(rejection)


def wants_param_check(request: Request, headers: Headers) -> bool:
    """Whether ``Mcp-Param-*`` headers could matter: there are arguments, or there are such headers."""
    if request.method != "tools/call" or not request.params:
        return False
    return bool(request.params.get("arguments")) or any(
        name.startswith(_PARAM_PREFIX) for name, _ in headers.pairs()
    )


def check_params(input_schema: Any, request: Request, headers: Headers) -> Fault | None:
    """Why the ``Mcp-Param-*`` headers of a tool call are refused; None when they agree with the body."""
    arguments = (request.params or {}).get("arguments")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        return None
    rejection = validate_mcp_param_headers(input_schema, arguments, headers)
    return None if rejection is None else _fault(rejection)


def _fault(rejection: InboundLadderRejection) -> Fault:
    return Fault(rejection.code, rejection.message, rejection.data, ENVELOPE_STATUS)
