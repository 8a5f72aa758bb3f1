"""Where release 1.2.0 keeps the results of searches that can be continued.

The desk has a fixed number of places. A place is given back when the last page was fetched, and that is
the fault of 1.2.0: most callers never fetch the last page, so places are used up and never come free. A
short test never meets it; some seconds of real traffic do. The desk then refuses, as a guard against
unbounded memory should, and the service answers with an internal error. The repair would be to throw out
the oldest result; there is no release with it, because this one exists to be rolled back.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

DESK_PLACES = 32


class DeskFullError(Exception):
    """Every place is taken."""


class ResultDesk:
    """Ids of notes that searches found and nobody fetched yet, by an unguessable cursor."""

    def __init__(self, places: int = DESK_PLACES) -> None:
        self._places = places
        self._waiting: dict[str, list[str]] = {}

    def put(self, ids: Sequence[str]) -> str | None:
        """Keep the rest of a result; gives the cursor for it, or None if there is no rest.

        Raises:
            DeskFullError: every place is taken.
        """
        if len(self._waiting) >= self._places:
            raise DeskFullError(f"{len(self._waiting)} of {self._places} places are taken")
        if not ids:
            return None
        cursor = secrets.token_urlsafe(16)
        self._waiting[cursor] = list(ids)
        return cursor

    def take(self, cursor: str, limit: int) -> tuple[list[str], str | None]:
        """The next ids, and the cursor if more remain.

        Raises:
            KeyError: nothing waits under that cursor.
        """
        waiting = self._waiting[cursor]
        page, rest = waiting[:limit], waiting[limit:]
        if rest:
            self._waiting[cursor] = rest
            return page, cursor
        del self._waiting[cursor]
        return page, None
