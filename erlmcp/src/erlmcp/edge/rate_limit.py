"""How often one client may ask: a token bucket for each client address, in this process only."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from erlmcp.config.schema import LimitSettings

MAX_CLIENTS: Final = 10_000
"""Addresses remembered; the one that has been quiet longest is forgotten, and starts with a full bucket."""


class RateLimit:
    """A bucket of ``burst`` tokens for each client, refilled with ``requests_per_s``; zero means no limit."""

    def __init__(self, settings: LimitSettings, clock: Callable[[], float]) -> None:
        self.enabled = settings.requests_per_s > 0
        self._rate = settings.requests_per_s
        self._burst = float(settings.burst)
        self._clock = clock
        self._buckets: OrderedDict[str, list[float]] = OrderedDict()  # tokens, and when they were counted
        self._latest: str | None = None

    def wait_s(self, client: str) -> int:
        """0 when the request may go on, and a token is taken; else whole seconds until one is there."""
        if not self.enabled:
            return 0
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = [self._burst, now]
            if len(self._buckets) > MAX_CLIENTS:
                self._buckets.popitem(last=False)
        elif client != self._latest:
            self._buckets.move_to_end(client)
        self._latest = client
        tokens = bucket[0] + (now - bucket[1]) * self._rate
        if tokens > self._burst:  # not min(): this runs for each request
            tokens = self._burst
        bucket[1] = now
        if tokens >= 1.0:
            bucket[0] = tokens - 1.0
            return 0
        bucket[0] = tokens
        return max(1, math.ceil((1.0 - tokens) / self._rate))
