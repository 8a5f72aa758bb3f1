"""What the sessions of all workers must not lose with any one of them: a copy in the master.

Workers come and go, also all at once; that a session has ended, when it was last used, to what it has
subscribed, how much it wants to be told, and who is banned must outlive them. The master hears these few
kinds of events, and tells a worker that starts all that is known, instead of every other worker telling it.
It knows no keys: a session cannot be opened here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from erlmcp.config.schema import McpSettings
from erlmcp.edge.bans import BanRecords
from erlmcp.sessions.bus import NEWCOMER, BusEvent, LocalBus
from erlmcp.sessions.log_levels import LogLevels
from erlmcp.sessions.records import SessionRecords
from erlmcp.sessions.subscriptions import Subscriptions
from erlmcp.supervisor.channel import event_of
from erlmcp.supervisor.messages import Relay
from erlmcp.telemetry.logs import Log

Tell = Callable[[BusEvent], None]

log = Log(__name__)


class Keeper:
    """The copy. ``clock`` gives seconds of the epoch."""

    def __init__(self, settings: McpSettings, clock: Callable[[], float]) -> None:
        self._bus = LocalBus()
        self._records = SessionRecords(self._bus, settings, clock)
        records = self._records
        self._subscriptions = Subscriptions(self._bus, records.is_idle, records.has_ended)
        self._log_levels = LogLevels(self._bus, records.has_ended)
        self._bans = BanRecords(self._bus, clock)
        records.on_late_end = records.on_idle = self._forget

    def hear(self, relay: Relay, answer: Tell) -> None:
        """Take note of an event of a worker.

        Args:
            answer: what a newcomer is told, event by event, before this returns.
        """
        try:
            event = event_of(relay)
        except msgspec.MsgspecError as fault:
            log.warning("bus.unreadable-event", fault=str(fault))
            return
        self.take(event, answer)

    def take(self, event: BusEvent, answer: Tell) -> None:
        """The same for an event that has been read."""
        if event.kind != NEWCOMER:
            self._bus.publish(event)
            return
        unsubscribe = self._bus.subscribe(lambda told: None if told is event else answer(told))
        try:
            self._bus.publish(event)
        finally:
            unsubscribe()

    def _forget(self, sid: str) -> None:
        self._subscriptions.forget(sid)
        self._log_levels.forget(sid)
