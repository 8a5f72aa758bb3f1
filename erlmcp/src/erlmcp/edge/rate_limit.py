"""How often clients may ask: token buckets for each address, for each client and for all, in this process.

A client is whoever its access token stands for, else its address. A request that one bucket refuses takes
nothing from the others. That several workers and hosts count together is ``shared_rates``; how many
connections an address may hold is ``connection_limit``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from erlmcp.config.schema import LimitSettings
from erlmcp.edge.addresses import network_of

MAX_CLIENTS: Final = 10_000
"""Names remembered by each rate; the one that has been quiet longest is forgotten, and starts anew."""

CALLS: Final = frozenset({"tools/call", "completion/complete"})
"""Requests that have a rate of their own, which is always on."""

_ALL: Final = ""
"""The name under which the requests of all clients are counted."""


class Rate:
    """A bucket of ``burst`` tokens for each name, refilled with ``per_s`` tokens a second."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()
        """Tokens, when they were counted, and how many were taken that nobody was told of."""
        self._latest: str | None = None

    def refill(self, name: str, now: float) -> list[float]:
        """The bucket of a name as it is now; its first member is how many tokens are in it."""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = [self._burst, now, 0.0]
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        elif name != self._latest:
            self._buckets.move_to_end(name)
        self._latest = name
        tokens = bucket[0] + (now - bucket[1]) * self._per_s
        if tokens > self._burst:  # not min(): this runs for each request
            tokens = self._burst
        bucket[0], bucket[1] = tokens, now
        return bucket

    def take(self, name: str, now: float) -> int:
        """Take a token of a name: 0; or take none, and tell the whole seconds until there is one.

        As ``refill`` and the steps after it; in one piece because it runs for each call.
        """
        bucket = self._buckets.get(name)
        if bucket is None or name != self._latest:
            bucket = self.refill(name, now)
            tokens = bucket[0]
        else:
            tokens = bucket[0] + (now - bucket[1]) * self._per_s
            if tokens > self._burst:
                tokens = self._burst
            bucket[1] = now
        if tokens < 1.0:
            bucket[0] = tokens
            return self.wait_s(tokens)
        bucket[0] = tokens - 1.0
        bucket[2] += 1.0
        return 0

    def taken(self, most: int) -> list[tuple[str, int]]:
        """How many tokens were taken of which bucket since this was last asked.

        Of so many names at most: those that took the most. The others are told the next time.
        """
        named = [(name, int(bucket[2])) for name, bucket in self._buckets.items() if bucket[2]]
        if len(named) > most:
            named = sorted(named, key=lambda each: each[1], reverse=True)[:most]
        for name, _ in named:
            self._buckets[name][2] = 0.0
        return named

    def spend(self, name: str, count: int, now: float) -> None:
        """Somebody else has taken tokens that are ours as well. A bucket may owe as many as it can hold."""
        bucket = self.refill(name, now)
        bucket[0] = max(bucket[0] - count, -self._burst)

    def wait_s(self, tokens: float) -> int:
        """Whole seconds until a bucket with so few tokens has one."""
        return max(1, math.ceil((1.0 - tokens) / self._per_s))


class RateLimit:
    """The rates that are set; zero means no limit, and one that is not set costs nothing."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._address = _rate(settings.requests_per_s, settings.burst)
        self._client = _rate(settings.client_requests_per_s, settings.client_burst)
        self._total = _rate(settings.total_requests_per_s, settings.total_burst)
        self._calls = _rate(settings.calls_per_s, settings.calls_burst)
        every = {
            "address": self._address,
            "client": self._client,
            "total": self._total,
            "calls": self._calls,
        }
        self.rates = {kind: rate for kind, rate in every.items() if rate is not None}
        self.enabled = any((self._address, self._client, self._total))

    def wait_s(self, address: str, principal: str = "") -> int:
        """0 when the request may go on, and is counted; else whole seconds until it may.

        Args:
            address: where it comes from.
            principal: whose access token it has; empty if it has none.
        """
        if not self.enabled:
            return 0
        network = network_of(address)
        if self._address is not None and self._client is self._total is None:
            return self._address.take(network, self._clock())  # the usual case, at half the cost
        return self._take(
            ((self._address, network), (self._client, principal or network), (self._total, _ALL))
        )

    def call_wait_s(self, client: str) -> int:
        """The same for one of ``CALLS``, beside its count as a request.

        Args:
            client: whose token it has, else its address; empty for nobody who is counted.
        """
        calls = self._calls
        return calls.take(client, self._clock()) if calls is not None and client else 0

    def guess_wait_s(self, address: str) -> int:
        """The same for a request without a good token: it must not use up what all clients share."""
        return self._take(((self._address, network_of(address)),))

    def _take(self, names: tuple[tuple[Rate | None, str], ...]) -> int:
        """Take a token from each bucket, or from none."""
        now = self._clock()
        wait_s = 0
        taken: list[list[float]] = []
        for rate, name in names:
            if rate is None:
                continue
            bucket = rate.refill(name, now)
            if bucket[0] < 1.0:
                wait_s = max(wait_s, rate.wait_s(bucket[0]))
            taken.append(bucket)
        if not wait_s:
            for bucket in taken:
                bucket[0] -= 1.0
                bucket[2] += 1.0
        return wait_s


def _rate(per_s: float, burst: int) -> Rate | None:
    return Rate(per_s, burst) if per_s > 0 else None
