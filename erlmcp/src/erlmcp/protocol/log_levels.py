"""The levels of log messages, and which of them a client of the handshake era wants to hear.

``logging/setLevel`` sets the least level for a whole session. The modern era has no such request: there every
request says for itself what it wants, and the SDK sees to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SET_LEVEL: Final = "logging/setLevel"
LOG_MESSAGE: Final = "notifications/message"

_RANK: Final = {
    level: rank
    for rank, level in enumerate(
        ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
    )
}


def level_in(params: Mapping[str, Any] | None) -> str | None:
    """The level that a ``logging/setLevel`` or a log message names; None when it names none that is known."""
    level = (params or {}).get("level")
    return level if isinstance(level, str) and level in _RANK else None


def is_wanted(params: Mapping[str, Any] | None, least: str) -> bool:
    """Whether a log message is at or above the least level; one of an unknown level is."""
    level = level_in(params)
    return level is None or _RANK[level] >= _RANK[least]
