"""The handshake sessions of one worker's point of view: begins them, and opens the ids of those that live.

The facts travel in the id, so nothing has to be stored for a session to work. What cannot be in an id is in
``erlmcp.sessions.records`` and ``erlmcp.sessions.subscriptions``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from erlmcp.config.schema import McpSettings
from erlmcp.sessions.bus import NEWCOMER, Bus, BusEvent
from erlmcp.sessions.log_levels import LogLevels
from erlmcp.sessions.records import SessionRecords
from erlmcp.sessions.sealed import KeyRing, SessionFacts, UnknownSessionError, new_sid
from erlmcp.sessions.subscriptions import Subscriptions


class Sessions:
    """Begins and opens sessions.

    Args:
        keys: seal the ids.
        bus: reaches the other workers.
        settings: the limits.
        clock: seconds of the epoch.
        answers: whether newcomers are told by us what there is; False where somebody else does it for all.
    """

    def __init__(
        self,
        keys: KeyRing,
        bus: Bus,
        settings: McpSettings,
        clock: Callable[[], float],
        *,
        answers: bool = True,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._records = SessionRecords(bus, settings, clock, answers=answers)
        records = self._records
        self.subscriptions = Subscriptions(bus, records.is_idle, records.has_ended, answers=answers)
        self.log_levels = LogLevels(bus, records.has_ended, answers=answers)
        records.on_late_end = self._end_late
        self._on_end: Callable[[str], None] = _nothing
        self.use = self._records.use  # as they are: the first is called for each request
        self.end = self._records.end
        self.full_for_s = self._records.full_for_s
        bus.publish(BusEvent(NEWCOMER))

    def __len__(self) -> int:
        """Sessions in use, at whatever worker."""
        return len(self._records)

    @property
    def ring_version(self) -> int:
        """Grows when the keys are replaced: an id that was opened before may be unknown now."""
        return self._keys.version

    def begin(
        self, protocol_version: str, client: dict[str, Any], owner: str = ""
    ) -> tuple[str, SessionFacts]:
        """A new session: its id, and the facts in it.

        Args:
            owner: the principal that may use it; empty where nobody is asked who they are.

        Raises:
            SessionTooLargeError: the client describes itself at too great length.
        """
        facts = SessionFacts(new_sid(), int(self._clock()), protocol_version, client)
        session_id = self._keys.seal(facts, owner)
        self.use(facts.sid)
        return session_id, facts

    def open(self, session_id: str, owner: str = "") -> SessionFacts:
        """The facts of a living session; counts as a use of it.

        Raises:
            UnknownSessionError: not ours, somebody else's, ended, idle for too long, or too old. The client
                is not told which.
        """
        return self.resume(self._keys.unseal(session_id, owner))

    def resume(self, facts: SessionFacts) -> SessionFacts:
        """The facts again, if their session is still alive; counts as a use of it.

        Raises:
            UnknownSessionError: as ``open``.
        """
        if not self._records.use_if_alive(facts):
            raise UnknownSessionError
        return facts

    def when_ended(self, on_end: Callable[[str], None]) -> None:
        """Call this with the ``sid`` of each session that ends without an event that says so: nobody has used
        it anywhere, or the event was missed and a repetition tells of it."""
        self._records.on_idle = self._on_end = on_end

    def _end_late(self, sid: str) -> None:
        self.subscriptions.forget(sid)
        self.log_levels.forget(sid)
        self._on_end(sid)

    def close(self) -> None:
        """Hear no more events."""
        self._records.close()
        self.subscriptions.close()
        self.log_levels.close()


def _nothing(_: str) -> None:
    """Nobody wants to know."""
