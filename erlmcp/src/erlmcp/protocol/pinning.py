"""Which era a shared channel (stdio, TCP, WebSocket, HTTP+SSE) is in: decided once, by its first request.

Notifications decide nothing. Afterwards a request of the other era is refused, so that a channel never mixes
two sets of rules. HTTP decides for each request instead (``erlmcp.protocol.eras``).
"""

from __future__ import annotations

from typing import Any

from mcp_types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from erlmcp.protocol.eras import HANDSHAKE, MODERN, carries_envelope
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.jsonrpc import Request

_NOT_MODERN = Fault(
    INVALID_REQUEST,
    "Invalid request: this channel is in the handshake era, and the request is modern",
)


class EraPin:
    """The era of one channel; given at the start where only one is served on it."""

    __slots__ = ("era",)

    def __init__(self, era: str | None = None) -> None:
        self.era = era

    def judge(self, request: Request) -> Fault | None:
        """Why a request is refused on this channel; the first one is not, it decides.

        | request                                  | undecided | modern | handshake |
        |------------------------------------------|-----------|--------|-----------|
        | ``initialize``                           | handshake | -32022 | served    |
        | says its protocol version in ``_meta``   | modern    | served | -32600    |
        | anything else                            | handshake | served | served    |
        """
        is_initialize = request.method == "initialize"
        is_modern = not is_initialize and carries_envelope(request)
        if self.era is None:
            self.era = MODERN if is_modern else HANDSHAKE
        elif self.era == MODERN and is_initialize:
            return _no_initialize(request)
        elif self.era == HANDSHAKE and is_modern:
            return _NOT_MODERN
        return None


def _no_initialize(request: Request) -> Fault:
    data: dict[str, Any] = {"supported": list(MODERN_PROTOCOL_VERSIONS)}
    requested = (request.params or {}).get("protocolVersion")
    if isinstance(requested, str):
        data["requested"] = requested
    return Fault(
        UNSUPPORTED_PROTOCOL_VERSION, "this channel is in the modern era, which has no initialize", data
    )
