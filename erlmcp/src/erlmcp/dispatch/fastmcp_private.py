"""What we must know of FastMCP beyond what it promises: the other half of ``sdk_private``, under its rules.

It is imported only for a guest that is a FastMCP, and looks before it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import fastmcp.server.context

_ITS_NAMES: Final = {"stdio": "stdio", "sse": "sse"}
"""Of our transports, by what distinguishes them for FastMCP; all others have many clients, as HTTP has."""


def transport_teller() -> Callable[[str], None]:
    """Tells FastMCP which transport the message of the current task came over.

    FastMCP keeps what a client without a session has changed for itself, such as hidden tools, for the whole
    process when it knows of no transport, since then it takes the client for the only one. Without this
    variable nothing is told, and that is what happens.
    """
    variable = getattr(fastmcp.server.context, "_current_transport", None)

    def tell(transport: str) -> None:
        if isinstance(variable, ContextVar):
            value: ContextVar[Any] = variable
            value.set(_ITS_NAMES.get(transport, "streamable-http"))

    return tell
