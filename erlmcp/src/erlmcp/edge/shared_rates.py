"""Rates that several workers count together, on one host or on many: each tells what it has let pass.

Nobody is asked before a request may go on, so no request waits for anybody. What another worker has let pass
is taken from the same bucket here a moment later. Together they let pass what one would, and besides at most
what passed within ``INTERVAL_S`` before the others heard of it. When the bus is away, each counts for itself.
How one counts is ``rate_limit``; the bus is ``erlmcp.sessions.bus``, sealed where it leaves the host.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from erlmcp.edge.rate_limit import Rate
from erlmcp.sessions.bus import RATES_TAKEN, Bus, BusEvent

INTERVAL_S: Final = 0.2
"""How often the others are told."""

MAX_TOLD: Final = 1_000
"""Names of one rate that are told at one time, those that took the most first."""

_Told = dict[str, list[tuple[str, int]]]
_decode = msgspec.msgpack.Decoder(_Told).decode


class SharedRates:
    """Tells and hears, for the rates of one worker."""

    def __init__(
        self,
        rates: Mapping[str, Rate],
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        self._rates = rates
        self._bus = bus
        self._loop = loop
        self._clock = clock
        self._me = os.urandom(8).hex()
        self._unsubscribe = bus.subscribe(self._hear)
        self._timer = loop.call_later(INTERVAL_S, self._tell_and_wait)

    def _tell_and_wait(self) -> None:
        self._timer = self._loop.call_later(INTERVAL_S, self._tell_and_wait)
        self.tell()

    def tell(self) -> None:
        """Say what was taken here since the last time."""
        told = {kind: taken for kind, rate in self._rates.items() if (taken := rate.taken(MAX_TOLD))}
        if told:
            self._bus.publish(BusEvent(RATES_TAKEN, self._me, msgspec.msgpack.encode(told)))

    def _hear(self, event: BusEvent) -> None:
        if event.kind != RATES_TAKEN or event.key == self._me:
            return
        now = self._clock()
        for kind, taken in _decode(event.data).items():
            rate = self._rates.get(kind)
            if rate is not None:  # else it has other limits, as during an upgrade
                for name, count in taken:
                    rate.spend(name, count, now)

    def close(self) -> None:
        """Neither tell nor hear any more."""
        self._timer.cancel()
        self._unsubscribe()
