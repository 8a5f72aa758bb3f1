"""Addresses that are shut out for a while: they came with bad tokens or malformed requests, again and again.

Offences are counted for each address, in this worker; a ban is told to the other workers and hosts, which
keep it, too; the master remembers it for workers that start later. A banned address has its connections
closed and is not let in again before its time is over. How often well-formed requests may come is
``rate_limit``.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Final

import msgspec

from erlmcp.config.schema import Settings
from erlmcp.edge.addresses import is_this_machine, network_of
from erlmcp.edge.proxies import Proxies
from erlmcp.edge.rate_limit import Rate
from erlmcp.sessions.bus import BANNED, NEWCOMER, Bus, BusEvent
from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.meter import Meter

log = Log(__name__)

MAX_BANNED: Final = 10_000
"""Addresses that are banned at one time; beyond it the ban that was pronounced first ends."""

BAD_TOKEN: Final = "bad-token"  # noqa: S105 - a word for a cause
MALFORMED: Final = "malformed"


class Bans:
    """Counts offences and knows who is banned.

    Connections of this machine stand for whoever is behind them, most often a proxy, and are exempt unless
    ``limits.loopback`` says otherwise. A trusted proxy never is the offender, but whom it speaks for. Where
    ``tls.terminated_by_proxy`` declares a proxy and none is trusted, all clients share its address, and
    nobody is banned.
    """

    def __init__(
        self,
        settings: Settings,
        meter: Meter,
        bus: Bus,
        proxies: Proxies,
        clock: Callable[[], float] | None = None,
    ) -> None:
        limits = settings.limits
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._meter = meter
        self._bus = bus
        self._proxies = proxies
        self._ban_s = limits.ban_s
        self._counts_loopback = limits.loopback
        self._offences: Rate | None = None
        hides_clients = settings.tls.terminated_by_proxy and not settings.http.trusted_proxies
        if limits.ban_after and not hides_clients:
            self._offences = Rate(limits.ban_after / limits.ban_window_s, limits.ban_after)
        self._banned: OrderedDict[str, float] = OrderedDict()
        self._droppers: list[Callable[[str], None]] = []
        self._unsubscribe = bus.subscribe(self._hear)

    def when_banned(self, drop: Callable[[str], None]) -> None:
        """Have connections closed: ``drop`` is called with the network (``addresses.network_of``)."""
        self._droppers.append(drop)

    def offended(self, address: str, cause: str) -> None:
        """Count an offence; one too many bans the address everywhere.

        Args:
            cause: ``BAD_TOKEN`` or ``MALFORMED``.
        """
        if self._offences is None or self._is_exempt(address):
            return
        network = network_of(address)
        bucket = self._offences.refill(network, self._clock())
        if bucket[0] >= 1.0:
            bucket[0] -= 1.0
        elif not self.is_banned(address):
            self._meter.rejected("ban")
            log.warning("address.banned", address=network, cause=cause, for_s=self._ban_s)
            self._bus.publish(_ban(network, self._ban_s))

    def _is_exempt(self, address: str) -> bool:
        return self._proxies.trusts(address) or (not self._counts_loopback and is_this_machine(address))

    def is_banned(self, address: str) -> bool:
        """Whether no connection of the address may be taken."""
        if not self._banned:
            return False
        network = network_of(address)
        until = self._banned.get(network)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._banned[network]
        return False

    def _hear(self, event: BusEvent) -> None:
        if event.kind != BANNED or self._offences is None:
            return
        _remember(self._banned, event.key, self._clock() + min(_length_s(event) or inf, self._ban_s))
        self._loop.call_soon(self._drop, event.key)  # what is being answered now is said first

    def _drop(self, network: str) -> None:
        for drop in self._droppers:
            drop(network)

    def close(self) -> None:
        """Hear no more."""
        self._unsubscribe()


class BanRecords:
    """Remembers who is banned, to tell a worker that starts; for the master, which outlives them all.

    ``clock`` gives seconds.
    """

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._banned: OrderedDict[str, float] = OrderedDict()
        bus.subscribe(self._hear)

    def _hear(self, event: BusEvent) -> None:
        if event.kind == BANNED:
            if length_s := _length_s(event):
                _remember(self._banned, event.key, self._clock() + length_s)
        elif event.kind == NEWCOMER:
            self._repeat()

    def _repeat(self) -> None:
        now = self._clock()
        for network, until in list(self._banned.items()):
            if until > now:
                self._bus.publish(_ban(network, until - now))
            else:
                del self._banned[network]


def _ban(network: str, length_s: float) -> BusEvent:
    return BusEvent(BANNED, network, msgspec.msgpack.encode(length_s))


def _length_s(event: BusEvent) -> float:
    """How long a ban is to last; 0 if it is not told, as by an older release."""
    return msgspec.msgpack.decode(event.data, type=float) if event.data else 0.0


def _remember(banned: OrderedDict[str, float], network: str, until: float) -> None:
    banned.pop(network, None)
    banned[network] = until
    if len(banned) > MAX_BANNED:
        banned.popitem(last=False)
