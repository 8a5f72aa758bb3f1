"""What was read in the last minutes, in bounded rings, and what happened between two looks.

A ``Sample`` is what a ``Reading`` counted, and small; a ``Window`` is the difference of two of them. Nothing
here counts anything itself, and nothing is kept on disk: history begins with the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from erlmcp.telemetry.meter import BUCKETS_S
from erlmcp.telemetry.reading import Reading

FINE_S: Final = 300.0
"""So far back every sample is kept."""
COARSE_S: Final = 3_600.0
"""So far back one sample a minute is kept."""
_COARSE_STEP_S: Final = 60.0
_TOOLS_STEP_S: Final = 15.0
_NO_LATENCY: Final = frozenset({"subscriptions/listen"})
"""Answered when they end, so how long they take is no latency."""
_FAULTS: Final = frozenset({"server_error", "timeout"})
"""What the server is to blame for."""
ERRORS: Final = _FAULTS | {"tool_error", "client_error"}


@dataclass(frozen=True)
class Timed:
    """Calls of one kind.

    Attributes:
        buckets: how many took how long, as ``BUCKETS_S`` and one beyond.
        errors: how many were answered with an error.
    """

    calls: int
    errors: int
    buckets: tuple[int, ...]
    sum_s: float

    def __sub__(self, older: Timed) -> Timed:
        return Timed(
            self.calls - older.calls,
            self.errors - older.errors,
            tuple(a - b for a, b in zip(self.buckets, older.buckets, strict=True)),
            self.sum_s - older.sum_s,
        )

    @property
    def mean_s(self) -> float | None:
        """The mean of those that were timed; None when there were none."""
        timed = sum(self.buckets)
        return self.sum_s / timed if timed else None

    def quantile_s(self, share: float) -> float | None:
        """The duration that this share stayed below, as Prometheus tells it."""
        return quantile(share, self.buckets)


NOTHING: Final = Timed(0, 0, (0,) * (len(BUCKETS_S) + 1), 0.0)


@dataclass(frozen=True)
class Sample:
    """What was counted up to a moment.

    Attributes:
        at: seconds since 1970.
        faults: requests that the server is to blame for.
        errors: requests that ended in any error.
        latency: of requests that are answered when they are done.
        cpu_s: processor time by generation.
        dependencies: calls of what the guest depends on, and those that failed, by name.
        spans: by what became of them.
    """

    at: float
    requests: int
    faults: int
    errors: int
    tool_calls: int
    tool_errors: int
    latency: Timed
    cpu_s: Mapping[str, float]
    rejected: Mapping[str, int]
    restarts: int
    stuck: int
    certificates_refused: int
    dependencies: Mapping[str, tuple[int, int]]
    spans: Mapping[str, int]
    log_lines_lost: int

    @classmethod
    def of(cls, reading: Reading) -> Sample:
        """The sample of a reading."""
        counts = reading.counts
        outcomes = [(labels[0], labels[3], count) for labels, count in counts.requests.items()]
        timed = [each for method, each in counts.durations.items() if method not in _NO_LATENCY]
        return cls(
            at=reading.at,
            requests=sum(count for _, _, count in outcomes),
            faults=sum(count for _, outcome, count in outcomes if outcome in _FAULTS),
            errors=sum(count for _, outcome, count in outcomes if outcome in ERRORS),
            tool_calls=sum(count for method, _, count in outcomes if method == "tools/call"),
            tool_errors=sum(count for _, outcome, count in outcomes if outcome == "tool_error"),
            latency=Timed(0, 0, _sum(each.buckets for each in timed), sum(each.sum_s for each in timed)),
            cpu_s={each.generation: each.cpu_s for each in reading.generations},
            rejected=dict(counts.rejected),
            restarts=sum(each.restarts for each in reading.generations),
            stuck=sum(each.stuck for each in reading.generations),
            certificates_refused=reading.certificate.refused if reading.certificate else 0,
            dependencies={
                name: (sum(each.outcomes.values()), each.outcomes.get("error", 0))
                for name, each in counts.dependencies.items()
            },
            spans=dict(counts.spans),
            log_lines_lost=reading.log_lines_lost,
        )


def tools_of(reading: Reading) -> dict[str, Timed]:
    """The calls of each tool up to now."""
    return {
        name: Timed(
            sum(tool.outcomes.values()),
            sum(count for outcome, count in tool.outcomes.items() if outcome in ERRORS),
            tuple(tool.buckets),
            tool.sum_s,
        )
        for name, tool in reading.counts.tools.items()
    }


def methods_of(reading: Reading) -> dict[str, Timed]:
    """The requests of each method up to now."""
    calls: dict[str, list[int]] = {}
    for (method, _, _, outcome), count in reading.counts.requests.items():
        sums = calls.setdefault(method, [0, 0])
        sums[0] += count
        sums[1] += count if outcome in ERRORS else 0
    found = {}
    for method, (number, errors) in calls.items():
        histogram = reading.counts.durations.get(method)
        buckets = tuple(histogram.buckets) if histogram else NOTHING.buckets
        found[method] = Timed(number, errors, buckets, histogram.sum_s if histogram else 0.0)
    return found


@dataclass(frozen=True)
class Window:
    """What happened between two samples. ``seconds`` is zero when there is nothing to compare."""

    older: Sample
    newer: Sample

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(0.0, self.newer.at - self.older.at)

    def rate(self, count: float) -> float:
        """So many a second."""
        return count / self.seconds if self.seconds else 0.0

    @property
    def requests(self) -> int:
        """Requests in it."""
        return self.newer.requests - self.older.requests

    @property
    def faults(self) -> int:
        """Requests in it that the server is to blame for."""
        return self.newer.faults - self.older.faults

    @property
    def errors(self) -> int:
        """Requests in it that ended in any error."""
        return self.newer.errors - self.older.errors

    @property
    def latency(self) -> Timed:
        """Durations in it."""
        return self.newer.latency - self.older.latency

    def cpu(self, generation: str) -> float:
        """Processors that the workers of a generation used, such as 0.5."""
        newer = self.newer.cpu_s.get(generation, 0.0)
        return self.rate(newer - self.older.cpu_s.get(generation, newer))

    @property
    def cpu_of_all(self) -> float:
        """Processors that all workers used."""
        return sum(self.cpu(generation) for generation in self.newer.cpu_s)

    def rejected(self) -> dict[str, int]:
        """What was turned away in it, by reason."""
        older = self.older.rejected
        return {reason: count - older.get(reason, 0) for reason, count in self.newer.rejected.items()}

    def dependencies(self) -> dict[str, tuple[int, int]]:
        """Calls in it of what the guest depends on, and those that failed, by name."""
        older = self.older.dependencies
        return {
            name: (calls - older.get(name, (0, 0))[0], failed - older.get(name, (0, 0))[1])
            for name, (calls, failed) in self.newer.dependencies.items()
        }

    def spans(self, fate: str) -> int:
        """Spans in it of which this became."""
        return self.newer.spans.get(fate, 0) - self.older.spans.get(fate, 0)


class History:
    """The rings of one server. ``interval_s`` is how often a sample comes."""

    def __init__(self, interval_s: float) -> None:
        self._fine: deque[Sample] = deque(maxlen=int(FINE_S / interval_s) + 2)
        self._coarse: deque[Sample] = deque(maxlen=int(COARSE_S / _COARSE_STEP_S) + 1)
        self._tools: deque[tuple[float, dict[str, Timed], dict[str, Timed]]] = deque(
            maxlen=int(FINE_S / _TOOLS_STEP_S) + 1
        )

    def add(self, reading: Reading) -> None:
        """One more reading, later than all before."""
        sample = Sample.of(reading)
        self._fine.append(sample)
        if not self._coarse or sample.at - self._coarse[-1].at >= _COARSE_STEP_S:
            self._coarse.append(sample)
        if not self._tools or sample.at - self._tools[-1][0] >= _TOOLS_STEP_S:
            self._tools.append((sample.at, tools_of(reading), methods_of(reading)))

    @property
    def samples(self) -> Sequence[Sample]:
        """Those of the last minutes, the oldest first."""
        return self._fine

    def window(self, newer: Sample, seconds: float) -> Window:
        """From so long ago until this sample; shorter while the server is younger."""
        ring = self._fine if seconds <= FINE_S else self._coarse
        return Window(_begin(ring, newer.at - seconds) or newer, newer)

    def windows(self, seconds: float) -> list[Window]:
        """One of this length up to each sample of the last minutes: what a curve is drawn from."""
        samples = list(self._fine)
        found, begin = [], 0
        for newer in samples[1:]:
            while samples[begin + 1].at <= newer.at - seconds:
                begin += 1
            found.append(Window(samples[begin], newer))
        return found

    def lately(self, reading: Reading) -> tuple[float, dict[str, Timed], dict[str, Timed]]:
        """About the last five minutes: how long, calls of each tool, requests of each method."""
        tools, methods = tools_of(reading), methods_of(reading)
        if not self._tools:
            return 0.0, tools, methods
        at, older_tools, older_methods = self._tools[0]
        return (
            reading.at - at,
            {name: now - older_tools.get(name, NOTHING) for name, now in tools.items()},
            {name: now - older_methods.get(name, NOTHING) for name, now in methods.items()},
        )


def quantile(share: float, buckets: Sequence[int]) -> float | None:
    """As ``histogram_quantile`` of Prometheus; None when nothing was timed."""
    total = sum(buckets)
    if not total:
        return None
    rank, below = share * total, 0
    for position, count in enumerate(buckets):
        if position == len(BUCKETS_S):
            return BUCKETS_S[-1]
        if below + count >= rank and count:
            begin = BUCKETS_S[position - 1] if position else 0.0
            return begin + (BUCKETS_S[position] - begin) * (rank - below) / count
        below += count
    return BUCKETS_S[-1]


def _begin(ring: Sequence[Sample], at: float) -> Sample | None:
    """The newest sample that is no younger than this, else the oldest."""
    found = ring[0] if ring else None
    for sample in ring:
        if sample.at > at:
            break
        found = sample
    return found


def _sum(rows: Iterable[Sequence[int]]) -> tuple[int, ...]:
    total = NOTHING.buckets
    for row in rows:
        total = tuple(a + b for a, b in zip(total, row, strict=True))
    return total
