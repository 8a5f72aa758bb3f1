"""Error codes, the words that go with them, and the HTTP status each one travels with.

The numbers of the protocol come from the SDK's types. Codes of our own lie outside the range that JSON-RPC
and MCP reserve (-32768 to -32000); their last three digits are the HTTP status.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PARSE_ERROR,
    UNSUPPORTED_PROTOCOL_VERSION,
)

UNAUTHORIZED: Final = -31401
INSUFFICIENT_SCOPE: Final = -31403
RATE_LIMITED: Final = -31429
TOO_MANY_STREAMS: Final = -31430
SESSION_TOO_LARGE: Final = -31431
TOO_MANY_SUBSCRIPTIONS: Final = -31432
TOO_MANY_TASKS: Final = -31433
OVERLOADED: Final = -31503
TASK_UNREACHABLE: Final = -31505
TIMED_OUT: Final = -31504
TOO_MANY_SESSIONS: Final = -31506
REQUEST_CANCELLED: Final = -32800
"""What the handshake era's SDKs answer to a request that its client has cancelled."""

ENVELOPE_STATUS: Final = 400
"""Status of every fault of the envelope, whatever its code."""

STATUS: Final[dict[int, int]] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    HEADER_MISMATCH: 400,
    MISSING_REQUIRED_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_PROTOCOL_VERSION: 400,
    METHOD_NOT_FOUND: 404,
    UNAUTHORIZED: 401,
    INSUFFICIENT_SCOPE: 403,
    RATE_LIMITED: 429,
    TOO_MANY_STREAMS: 429,
    TOO_MANY_SUBSCRIPTIONS: 429,
    TOO_MANY_TASKS: 429,
    SESSION_TOO_LARGE: 400,
    OVERLOADED: 503,
    TIMED_OUT: 504,
    TASK_UNREACHABLE: 503,
    TOO_MANY_SESSIONS: 503,
}
"""HTTP status of an error that is known before the response began; any other code travels with 200."""

_CLIENT_FAULTS: Final = frozenset(
    {
        PARSE_ERROR,
        INVALID_REQUEST,
        INVALID_PARAMS,
        METHOD_NOT_FOUND,
        HEADER_MISMATCH,
        MISSING_REQUIRED_CLIENT_CAPABILITY,
        UNSUPPORTED_PROTOCOL_VERSION,
        SESSION_TOO_LARGE,
    }
)


class Fault(msgspec.Struct, frozen=True):
    """A JSON-RPC error before it is written.

    Attributes:
        status: overrides the table; 0 means the table decides.
        challenge: what WWW-Authenticate says with it over HTTP; empty for nothing.
    """

    code: int
    message: str
    data: Any = None
    status: int = 0
    challenge: str = ""

    @property
    def http_status(self) -> int:
        """The status of a response that carries only this error."""
        return self.status or STATUS.get(self.code, 200)

    @property
    def outcome(self) -> str:
        """How the meter counts it."""
        if self.code == TIMED_OUT:
            return "timeout"
        if self.code == REQUEST_CANCELLED:
            return "cancelled"
        if self.code in (OVERLOADED, TASK_UNREACHABLE, TOO_MANY_SESSIONS):
            return "server_error"
        if self.code in _CLIENT_FAULTS or not _is_reserved(self.code):
            return "client_error"
        return "server_error"


INTERNAL: Final = Fault(INTERNAL_ERROR, "Internal server error")
WORKER_DIED: Final = Fault(
    INTERNAL_ERROR, "the worker that ran the call has died, and its outcome is lost", {"cause": "worker-died"}
)


def _is_reserved(code: int) -> bool:
    return -32768 <= code <= -32000


class FaultError(Exception):
    """A fault on its way to the place that answers."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault
