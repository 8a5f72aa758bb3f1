"""How many connections one address may hold in this worker, over all transports together.

How many there may be in all is counted where they are held. Connections of this machine stand for whoever is
behind them, most often a proxy, so they are limited only if ``limits.loopback`` says so.
"""

from __future__ import annotations

from collections import Counter

from erlmcp.config.schema import Settings
from erlmcp.edge.addresses import is_this_machine, network_of
from erlmcp.edge.bans import Bans
from erlmcp.edge.proxies import Proxies
from erlmcp.telemetry.meter import Meter


class ConnectionLimit:
    """Counts the open connections of each address.

    Attributes:
        bans: the addresses that may hold none.
        proxies: those that may hold any number, since they speak for others.
    """

    def __init__(self, settings: Settings, meter: Meter, bans: Bans, proxies: Proxies) -> None:
        self._most = settings.http.max_connections_per_address
        self._only_proxies = (
            settings.tls.terminated_by_proxy
            and not settings.tls.certificate
            and not settings.http.proxy_protocol  # it lets in nobody else itself
        )
        self._counts_loopback = settings.limits.loopback
        self._meter = meter
        self.bans = bans
        self.proxies = proxies
        self._open: Counter[str] = Counter()

    def has_room(self, address: str) -> bool:
        """Whether the address may hold one more; it is counted as refused if not."""
        if self._only_proxies and not (self.proxies.trusts(address) or is_this_machine(address)):
            self._meter.rejected("no-proxy")  # it would speak without TLS
            return False
        if self.bans.is_banned(address):
            self._meter.rejected("banned")
            return False
        if self._open[network_of(address)] < self._most or self._is_exempt(address):
            return True
        self._meter.rejected("connections-per-address")
        return False

    def _is_exempt(self, address: str) -> bool:
        return self.proxies.trusts(address) or (not self._counts_loopback and is_this_machine(address))

    def opened(self, address: str) -> None:
        """Count one."""
        self._open[network_of(address)] += 1

    def closed(self, address: str) -> None:
        """One is gone; an address without any is forgotten."""
        network = network_of(address)
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]

    def __len__(self) -> int:
        """How many addresses have a connection."""
        return len(self._open)
