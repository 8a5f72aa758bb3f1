"""A watch's surroundings: a scripted service, a real journal, a clock that only moves in sleeps."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest

from gonogo.config.schema import Thresholds
from gonogo.journal.journal import Journal
from gonogo.model.errors import GonogoError
from gonogo.model.watch import Sample
from gonogo.watch.baseline import Baseline, collect_baseline
from gonogo.watch.live import WatchPlan, WatchResult, watch
from gonogo.watch.traffic import SyntheticTraffic

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
SHARES = ((0.5, 0.6), (1.0, 0.3), (2.0, 0.085), (4.0, 0.015))
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


Behaviour = Callable[[float], float]


@dataclass
class Service:
    """A service whose behaviour is given as functions of the seconds since it began."""

    clock: Callable[[], datetime]
    rate_per_s: float = 20.0
    error_ratio: Behaviour = lambda _: 0.0
    tool_error_ratio: Behaviour = lambda _: 0.0
    latency_s: Behaviour = lambda _: 0.004
    memory: Callable[[float], float] = lambda s: 80e6 + 1e3 * (s % 60)
    healthy: Behaviour = lambda _: True
    reachable: Behaviour = lambda _: True
    restarts: Behaviour = lambda _: 0
    _at_s: float = 0.0
    _totals: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _buckets: list[float] = field(default_factory=lambda: [0.0] * len(BOUNDS))
    extra: int = 0

    async def sample(self, generation: str) -> Sample:
        now_s = (self.clock() - START).total_seconds()
        if not self.reachable(now_s):
            raise GonogoError("http.unreachable", "no answer")
        while self._at_s < now_s:
            step_s = min(0.5, now_s - self._at_s)
            self._serve(self.rate_per_s * step_s, self._at_s)
            self._at_s += step_s
        self._serve(self.extra, now_s)
        self.extra = 0
        return Sample(
            at=self.clock(),
            requests=round(self._totals[0]),
            errors=round(self._totals[1]),
            latency_buckets=tuple(zip(BOUNDS, accumulate(map(round, self._buckets)), strict=True)),
            in_flight=0,
            connections=5,
            memory_bytes=round(self.memory(now_s)),
            cpu_s=now_s * 0.1,
            healthy=self.healthy(now_s),
            tool_errors=round(self._totals[2]),
            restarts=self.restarts(now_s),
        )

    async def call(self) -> None:
        """A synthetic call, counted like any other."""
        self.extra += 1

    def _serve(self, requests: float, at_s: float) -> None:
        self._totals[0] += requests
        self._totals[1] += requests * self.error_ratio(at_s)
        self._totals[2] += requests * self.tool_error_ratio(at_s)
        for factor, share in SHARES:
            self._buckets[bisect_left(BOUNDS, factor * self.latency_s(at_s))] += requests * share


@dataclass
class Watched:
    """Runs watches on a fake clock and keeps what they said."""

    journal: Journal
    now: datetime = START
    pages: list[str] = field(default_factory=list)
    told: list[tuple[str, dict]] = field(default_factory=list)
    sleeps: int = 0
    on_sleep: Callable[[float], None] = lambda _: None

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.sleeps += 1
        self.on_sleep((self.now - START).total_seconds())
        await asyncio.sleep(0)

    def service(self, **behaviour) -> Service:
        return Service(self.clock, **behaviour)

    def baseline(self, span_s: float = 900.0, **behaviour) -> Baseline:
        """Measured on a service of its own, on a clock of its own."""
        own = Watched(self.journal)
        service = own.service(**behaviour)
        return asyncio.run(
            collect_baseline(service, span_s, 15.0, own.clock, generation="g1", sleep=own.sleep)
        )

    def watch(self, service: Service, baseline: Baseline | None, *, calls=None, **limits) -> WatchResult:
        return asyncio.run(
            watch(
                WatchPlan("dep-1", "rel-1", "g2", Thresholds(**limits)),
                baseline,
                reader=service,
                journal=self.journal,
                clock=self.clock,
                sleep=self.sleep,
                tell=lambda text, data: self.told.append((text, dict(data))),
                page=self.pages.append,
                traffic=SyntheticTraffic(calls, clock=self.clock, sleep=self.sleep),
            )
        )

    @property
    def elapsed_s(self) -> float:
        return (self.now - START).total_seconds()


@pytest.fixture
def watched(tmp_path):
    stand = Watched(None)
    with Journal.open(tmp_path, clock=stand.clock, service="notes") as journal:
        stand.journal = journal
        yield stand
