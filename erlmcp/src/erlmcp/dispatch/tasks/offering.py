"""Declaring the tasks extension for a guest; all it needs then is tools that say they run as tasks."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from erlmcp.protocol.tasks import EXTENSION, METHODS

AS_TASK: Final[ContextVar[bool]] = ContextVar("erlmcp_as_task", default=False)
"""Whether the handler runs in a call that may become a task."""


_MARK: Final = "served_by_erlmcp"


def offer_tasks(server: Server[Any], found: Any) -> bool:
    """Declare the extension; False, and nothing is changed, when the guest serves it itself.

    FastMCP refuses to start with a tool that is declared as ``task=True`` unless somebody has registered the
    extension, so there it is registered in FastMCP's own way.
    """
    if EXTENSION in server.extensions or any(server.get_request_handler(each) for each in METHODS):
        return False
    registry = sys.modules.get("fastmcp.server.extensions")
    if registry is None or not hasattr(found, "add_extension"):
        server.extensions[EXTENSION] = {}
        return True
    kind = type("ServedByErlmcp", (registry.ServerExtension,), {"identifier": EXTENSION, _MARK: True})
    try:
        found.add_extension(kind())
    except ValueError:  # there is one already
        return False
    found.add_middleware(pass_protocol_errors)
    return True


def changes_no_call(part: Any) -> bool:
    """Whether a middleware or an extension of a FastMCP is one of those above, which act on tasks only."""
    return part is pass_protocol_errors or getattr(type(part), _MARK, False) is True


async def pass_protocol_errors(context: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastMCP makes results of protocol errors that a tool raises; of a task they are how it failed."""
    try:
        return await call_next(context)
    except Exception as fault:
        cause = fault.__cause__
        if AS_TASK.get() and isinstance(cause, MCPError):
            raise cause from None
        raise
