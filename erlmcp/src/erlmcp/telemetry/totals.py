"""Sums over workers, those that have ended included, so that a counter never goes back.

It adds snapshots of ``erlmcp.telemetry.meter``; it knows no processes and no metrics format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from erlmcp.telemetry.meter import Histogram, ToolCount, add_blocked, tool_count


@dataclass
class Counts:
    """What several meters counted together.

    Attributes:
        requests: by method, era, transport and outcome.
        durations: histogram by method.
        rejected: by reason.
        tokens: judgements of access tokens, by outcome.
        bytes: by direction, ``received`` and ``sent``.
        blocked: how often, and how many seconds, a call kept the event loop from turning, by method and name.
        tools: calls by the name of the tool.
        dependencies: calls of what the guest depends on, by name.
        spans: by what became of them.
        full_collections: looks of the garbage collector at all objects.
        full_collections_s: how long they took, seconds.
    """

    requests: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    durations: dict[str, Histogram] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    blocked: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    tools: dict[str, ToolCount] = field(default_factory=dict)
    dependencies: dict[str, ToolCount] = field(default_factory=dict)
    spans: Counter[str] = field(default_factory=Counter)
    full_collections: int = 0
    full_collections_s: float = 0.0

    def add_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """Add what one meter counted."""
        for method, era, transport, outcome, count in snapshot.get("requests", ()):
            self.requests[method, era, transport, outcome] += count
        for method, data in snapshot.get("durations", {}).items():
            self._add_duration(method, data["buckets"], data["sum_s"])
        self.rejected.update(snapshot.get("rejected", {}))
        self.tokens.update(snapshot.get("tokens", {}))
        self.bytes.update(snapshot.get("bytes", {}))
        for method, name, count, seconds in snapshot.get("blocked", ()):
            add_blocked(self.blocked, (method, name), count, seconds)
        for name, tool in snapshot.get("tools", {}).items():
            tool_count(self.tools, name).add(tool["outcomes"], tool["buckets"], tool["sum_s"])
        self.spans.update(snapshot.get("spans", {}))
        self._add_collections(*snapshot.get("full_collections", (0, 0.0)))
        for name, calls in snapshot.get("dependencies", {}).items():
            tool_count(self.dependencies, name).add(calls["outcomes"], calls["buckets"], calls["sum_s"])

    def add(self, other: Counts) -> None:
        """Add another sum."""
        self.requests.update(other.requests)
        for method, histogram in other.durations.items():
            self._add_duration(method, histogram.buckets, histogram.sum_s)
        self.rejected.update(other.rejected)
        self.tokens.update(other.tokens)
        self.bytes.update(other.bytes)
        for call, (count, seconds) in other.blocked.items():
            add_blocked(self.blocked, call, count, seconds)
        for name, tool in other.tools.items():
            tool_count(self.tools, name).add(tool.outcomes, tool.buckets, tool.sum_s)
        self.spans.update(other.spans)
        self._add_collections(other.full_collections, other.full_collections_s)
        for name, calls in other.dependencies.items():
            tool_count(self.dependencies, name).add(calls.outcomes, calls.buckets, calls.sum_s)

    def _add_collections(self, count: int, seconds: float) -> None:
        self.full_collections += count
        self.full_collections_s += seconds

    def _add_duration(self, method: str, buckets: Iterable[int], sum_s: float) -> None:
        histogram = self.durations.setdefault(method, Histogram())
        histogram.buckets = [mine + theirs for mine, theirs in zip(histogram.buckets, buckets, strict=True)]
        histogram.sum_s += sum_s


class Totals:
    """What the workers that have ended left behind.

    Attributes:
        cpu_s: processor time they used, seconds.
        restarts: workers that died unasked and were replaced.
        stuck: those of them that were ended because their event loop stood still.
    """

    def __init__(self) -> None:
        self._past = Counts()
        self.cpu_s = 0.0
        self.restarts = 0
        self.stuck = 0

    def keep(self, snapshot: Mapping[str, Any], *, cpu_s: float) -> None:
        """Take over the last report of a worker that has ended."""
        self._past.add_snapshot(snapshot)
        self.cpu_s += cpu_s

    def add(self, other: Totals) -> None:
        """Take over the totals of a generation that is forgotten."""
        self._past.add(other.with_living([]))
        self.cpu_s += other.cpu_s
        self.restarts += other.restarts
        self.stuck += other.stuck

    def with_living(self, snapshots: Iterable[Mapping[str, Any]]) -> Counts:
        """The sum over the past and the workers that live."""
        counts = Counts()
        counts.add(self._past)
        for snapshot in snapshots:
            counts.add_snapshot(snapshot)
        return counts
