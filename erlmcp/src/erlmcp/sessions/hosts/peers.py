"""What one host knows of the others: that they live, and whether it has heard everything they said.

Each numbers its letters; a number that was passed over is something that was missed. No I/O and no clock of
its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from erlmcp.sessions.hosts.letters import MAX_HOSTS

FIRST: Final = 1


class Heard(Enum):
    """What a number says about a letter."""

    NEXT = "next"
    """Nothing was missed."""
    GAP = "gap"
    """Something before it was missed."""
    OLD = "old"
    """It was here before."""


class Peers:
    """The other hosts. ``timeout_s`` is how long one may say nothing."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._number: dict[str, int] = {}
        self._heard_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._number)

    def hear(self, host: str, number: int, now: float) -> Heard:
        """A host has said something."""
        last = self._number.get(host)
        if last is not None and number <= last:
            return Heard.OLD
        if last is None and len(self._number) >= MAX_HOSTS:
            return Heard.OLD  # one more than there may be is not listened to
        self._number[host] = number
        self._heard_at[host] = now
        expected = FIRST if last is None else last + 1
        return Heard.NEXT if number == expected else Heard.GAP

    def silent(self, now: float) -> list[str]:
        """The hosts that have said nothing for too long; they are forgotten."""
        gone = [host for host, at in self._heard_at.items() if now - at > self._timeout_s]
        for host in gone:
            del self._number[host], self._heard_at[host]
        return gone

    def excuse(self, now: float) -> None:
        """We have been deaf ourselves: everybody's time begins anew."""
        for host in self._heard_at:
            self._heard_at[host] = now
