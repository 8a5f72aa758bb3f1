"""What waits for a slow reader: bounded, equal changes kept once, the oldest dropped and counted.

Used on the way to a worker that is busy and on the way to other hosts. It does no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_WAITING_EVENTS: Final = 4_096
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024


class Outbox:
    """Events as bytes, in order.

    Attributes:
        dropped: how many did not fit.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes | int, bytes] = OrderedDict()
        self._bytes = 0
        self._number = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, data: bytes, *, mergeable: bool) -> None:
        """Add one event behind the others; an equal mergeable one that waits already moves to the end."""
        if mergeable and data in self._waiting:
            self._waiting.move_to_end(data)
            return
        self._number += 1
        self._waiting[data if mergeable else self._number] = data
        self._bytes += len(data)
        while len(self._waiting) > MAX_WAITING_EVENTS or self._bytes > MAX_WAITING_BYTES:
            self.take()
            self.dropped += 1

    def take(self) -> bytes | None:
        """The event that waited longest, or None."""
        if not self._waiting:
            return None
        _, data = self._waiting.popitem(last=False)
        self._bytes -= len(data)
        return data
