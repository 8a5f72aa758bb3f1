"""The clock as it is passed around, and the one form in which a time is written.

Only ``bootstrap`` and ``cli`` make a real clock; everything else is given one and tests give their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the time in UTC."""

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def time_text(at: datetime) -> str:
    """``at`` as UTC ISO 8601 with microseconds; a time without a zone is refused with ``ValueError``."""
    if at.tzinfo is None:
        raise ValueError(f"a time needs its zone, got {at.isoformat()} without one")
    return at.astimezone(UTC).strftime(TIME_FORMAT)


def time_from(text: str) -> datetime:
    """The time that ``time_text`` wrote; anything else is refused with ``ValueError``."""
    at = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    if time_text(at) != text:
        raise ValueError(f"not the canonical form of a time, got {text!r}")
    return at
