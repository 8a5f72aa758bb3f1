"""Which session has subscribed to which resources, known to every worker.

A client may subscribe at one worker and have its stream at another, so each tells the others. A worker that
starts later, or has missed something, asks for what there is, and says what it had not known: a resource may
have changed meanwhile. Who sends the notification is ``erlmcp.transports``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from contextvars import ContextVar
from itertools import islice
from typing import Final

import msgspec

from erlmcp.sessions.bus import (
    NEWCOMER,
    SESSION_ENDED,
    SUBSCRIBED,
    SUBSCRIPTIONS,
    UNSUBSCRIBED,
    Bus,
    BusEvent,
)

MAX_OF_SESSION: Final = 1_000
"""Resources to which one session may subscribe."""

MAX_URI_CHARS: Final = 2_048
MAX_IN_ALL: Final = 100_000
"""Subscriptions of all sessions together."""

_BATCH: Final = 1_024
_LOOK_AT: Final = 64


class TooManySubscriptionsError(Exception):
    """No more fit, of this session or of all."""


class Subscriptions:
    """The subscriptions of all sessions.

    Args:
        bus: reaches the other workers.
        is_idle: whether a session has not been used for so long that it has ended.
        has_ended: whether a session was ended; a subscription of it that is heard later is void.
        answers: whether a newcomer is told everything by us; False where somebody else does it for all.
    """

    def __init__(
        self,
        bus: Bus,
        is_idle: Callable[[str], bool],
        has_ended: Callable[[str], bool] = lambda _: False,
        *,
        answers: bool = True,
    ) -> None:
        self.on_late: Callable[[str, Collection[str]], None] = _nothing
        """Called with a session and resources of which nobody had told us that it wants to hear of them."""
        self._bus = bus
        self._answers = answers
        self._is_idle = is_idle
        self._has_ended = has_ended
        self._uris_of: OrderedDict[str, set[str]] = OrderedDict()
        self._sids_of: dict[str, set[str]] = {}
        self._count = 0
        self._decoder = msgspec.msgpack.Decoder(list[str])
        self._unsubscribe = bus.subscribe(self._hear)

    def __len__(self) -> int:
        return self._count

    def add(self, sid: str, uri: str) -> None:
        """Subscribe a session, at every worker; twice is once.

        Raises:
            TooManySubscriptionsError: a bound is reached.
        """
        uris = self._uris_of.get(sid, ())
        if uri in uris:
            return
        if self._count >= MAX_IN_ALL:
            self._make_room()
        if len(uris) >= MAX_OF_SESSION or self._count >= MAX_IN_ALL:
            raise TooManySubscriptionsError
        self._bus.publish(_told(SUBSCRIBED, sid, [uri]))

    def remove(self, sid: str, uri: str) -> None:
        """End a subscription, at every worker; one that is not there is no fault."""
        self._bus.publish(_told(UNSUBSCRIBED, sid, [uri]))

    def of(self, uri: str) -> Collection[str]:
        """The sessions that want to hear of a resource."""
        return tuple(self._sids_of.get(uri, ()))

    def wanted_by(self, sid: str) -> Collection[str]:
        """The resources of which a session wants to hear."""
        return tuple(self._uris_of.get(sid, ()))

    def end(self, sid: str) -> None:
        """Whoever subscribed under this name is gone."""
        self._bus.publish(BusEvent(SESSION_ENDED, sid))

    def forget(self, sid: str) -> None:
        """The session has ended; the other workers know."""
        for uri in self.wanted_by(sid):
            self._forget(sid, uri)

    def close(self) -> None:
        """Hear no more events."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == SUBSCRIBED:
            self._hear_of(event.key, self._decoder.decode(event.data))
        elif event.kind == SUBSCRIPTIONS:
            late = self._hear_of(event.key, self._decoder.decode(event.data))
            if late:
                self.on_late(event.key, late)
        elif event.kind == UNSUBSCRIBED:
            for uri in self._decoder.decode(event.data):
                self._forget(event.key, uri)
        elif event.kind == SESSION_ENDED:
            self.forget(event.key)
        elif event.kind == NEWCOMER and self._answers:
            self._repeat()

    def _repeat(self) -> None:
        for sid, uris in list(self._uris_of.items()):
            every = list(uris)
            for start in range(0, len(every), _BATCH):
                self._bus.publish(_told(SUBSCRIPTIONS, sid, every[start : start + _BATCH]))

    def _hear_of(self, sid: str, told: list[str]) -> list[str]:
        """Take note of subscriptions; those that were not known."""
        if self._has_ended(sid):
            return []
        uris = self._uris_of.setdefault(sid, set())
        self._uris_of.move_to_end(sid)
        new = [uri for uri in told if uri not in uris]
        for uri in new:
            uris.add(uri)
            self._sids_of.setdefault(uri, set()).add(sid)
        self._count += len(new)
        return new

    def _forget(self, sid: str, uri: str) -> None:
        uris = self._uris_of.get(sid)
        if uris is None or uri not in uris:
            return
        uris.discard(uri)
        if not uris:
            del self._uris_of[sid]
        sids = self._sids_of[uri]
        sids.discard(sid)
        if not sids:
            del self._sids_of[uri]
        self._count -= 1

    def _make_room(self) -> None:
        """Sessions that nobody uses end without a word; look at a few of the oldest."""
        for sid in list(islice(self._uris_of, _LOOK_AT)):
            if self._is_idle(sid):
                self.forget(sid)


class Subscriber(msgspec.Struct, frozen=True):
    """One who can be notified: a session, or a channel that is its own session."""

    subscriptions: Subscriptions
    sid: str


CURRENT_SUBSCRIBER: ContextVar[Subscriber | None] = ContextVar("erlmcp_subscriber", default=None)
"""Whose request is being served; None where nobody could be notified."""


def _nothing(sid: str, uris: Collection[str]) -> None:
    """Nobody wants to know."""


def _told(kind: str, sid: str, uris: list[str]) -> BusEvent:
    return BusEvent(kind, sid, msgspec.msgpack.encode(uris))
