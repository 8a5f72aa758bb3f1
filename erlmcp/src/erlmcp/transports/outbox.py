"""Answers that are written together, when everything that had come in one turn of the loop is dealt with.

To write wakes up whoever reads. When each answer is written at once, a client on another core wakes up and
falls asleep for every single one, and the server pays for it; written in a row they cost a third. An answer
waits for no more than the requests that had arrived with its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Flushes(Protocol):
    """A connection with an answer that is not written yet."""

    def flush(self) -> None:
        """Write it."""


class Outbox:
    """The connections that have one, of one server or of all channels."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Flushes] = []

    def put(self, connection: Flushes) -> None:
        """Flush it at the end of this turn."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception:  # one that cannot be written to must not cost the others their answers
                logger.exception("writing an answer failed")
