"""The tasks extension as it is written: names, states, and the shapes on the wire (SEP-2663).

A task is a tool call whose answer is fetched later. Data only: no clock, no storage, no input or output.
Tasks are kept by ``erlmcp.sessions.tasks`` and run by ``erlmcp.dispatch.tasks``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from mcp_types import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY

from erlmcp.protocol.faults import Fault

EXTENSION: Final = "io.modelcontextprotocol/tasks"
GET: Final = "tasks/get"
UPDATE: Final = "tasks/update"
CANCEL: Final = "tasks/cancel"
METHODS: Final = frozenset({GET, UPDATE, CANCEL})
CHANGED: Final = "notifications/tasks"

WORKING: Final = "working"
INPUT_REQUIRED: Final = "input_required"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
TERMINAL: Final = frozenset({COMPLETED, FAILED, CANCELLED})

UNKNOWN_TASK: Final = Fault(INVALID_PARAMS, "Unknown task")
"""The same for an id that was invented, has expired or belongs to somebody else."""

UNDECLARED: Final = Fault(
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    f"The client has not declared the extension {EXTENSION}",
    {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
)

_MEMBER_OF: Final = {INPUT_REQUIRED: "inputRequests", COMPLETED: "result", FAILED: "error"}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Task(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a task at one moment. Times are milliseconds of the epoch.

    ``name`` is how servers call it among each other; ``id`` is the client's word for it. ``detail`` is the
    JSON of what belongs to the status: the outstanding questions, the result, or the error.
    """

    name: str
    id: str
    status: str
    created_ms: int
    updated_ms: int
    ttl_ms: int
    poll_ms: int
    message: str = ""
    detail: bytes = b""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, and so never changes again."""
        return self.status in TERMINAL

    @property
    def expires_ms(self) -> int:
        """When it may be forgotten."""
        return self.created_ms + self.ttl_ms

    def moved(self, status: str, now_ms: int, *, detail: Any = None, message: str = "") -> Task:
        """The same task in another state."""
        return msgspec.structs.replace(
            self,
            status=status,
            updated_ms=max(now_ms, self.updated_ms),
            message=message,
            detail=b"" if detail is None else _encode(detail),
        )

    def as_created(self) -> dict[str, Any]:
        """The answer to the call that became this task."""
        return {"resultType": "task", **self._facts()}

    def as_detailed(self) -> dict[str, Any]:
        """The task with what belongs to its status, as ``tasks/get`` and notifications carry it."""
        found = self._facts()
        member = _MEMBER_OF.get(self.status)
        if member is not None:
            found[member] = _decode(self.detail)
        return found

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "taskId": self.id,
            "status": self.status,
            "createdAt": _iso(self.created_ms),
            "lastUpdatedAt": _iso(self.updated_ms),
            "ttlMs": self.ttl_ms,
            "pollIntervalMs": self.poll_ms,
        }
        if self.message:
            facts["statusMessage"] = self.message
        return facts


def is_declared(capabilities: Any) -> bool:
    """Whether client capabilities, as they came, name the extension."""
    extensions = capabilities.get("extensions") if isinstance(capabilities, Mapping) else None
    return isinstance(extensions, Mapping) and EXTENSION in extensions


def error_of(fault: Fault) -> dict[str, Any]:
    """A fault as the ``error`` of a failed task."""
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return error


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
