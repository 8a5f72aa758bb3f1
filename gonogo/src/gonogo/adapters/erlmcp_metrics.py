"""The watch's reader over an erlmcp admin listener: one page of metrics and one of readiness per sample.

``adapters.erlmcp_admin`` reads and parses; here only the counting rules of a watch stand. A request that
the caller spoilt or gave up says nothing about the release and is not counted at all; a tool's own failure
is counted apart. Streams that stay open by design are no latency.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from gonogo.adapters.erlmcp_admin import DURATION, REQUESTS, AdminReader, Metrics
from gonogo.model.clock import Clock
from gonogo.model.watch import Sample

RESTARTS = "erlmcp_worker_restarts"
COUNTED_OUTCOMES = frozenset({"ok", "tool_error", "server_error", "timeout"})
UNTIMED_METHODS = frozenset({"subscriptions/listen"})


class ErlmcpMetrics:
    """Samples one generation."""

    def __init__(self, admin: AdminReader, clock: Clock) -> None:
        self._admin = admin
        self._clock = clock

    async def sample(self, generation: str) -> Sample:
        """The counters of ``generation`` now.

        Raises:
            GonogoError: the admin listener did not answer, or its page lacks the generation.
        """
        metrics = await self._admin.metrics()
        healthy = await self._admin.is_ready()
        found = metrics.sample(generation, at=self._clock(), healthy=healthy)
        counts = _outcomes(metrics, generation)
        restarts = metrics.sum(RESTARTS, suffix="_total", generation=generation)
        return replace(
            found,
            requests=sum(count for outcome, count in counts.items() if outcome in COUNTED_OUTCOMES),
            latency_buckets=_timed(metrics, generation),
            tool_errors=counts.get("tool_error", 0),
            restarts=round(restarts or 0),
        )


def _outcomes(metrics: Metrics, generation: str) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for name, labels, value in metrics.families.get(REQUESTS, []):
        if name == REQUESTS + "_total" and labels.get("generation") == generation:
            counts[labels.get("outcome", "")] += round(value)
    return counts


def _timed(metrics: Metrics, generation: str) -> tuple[tuple[float, int], ...]:
    counts: defaultdict[float, int] = defaultdict(int)
    for name, labels, value in metrics.families.get(DURATION, []):
        ours = name == DURATION + "_bucket" and labels.get("generation") == generation
        if ours and labels.get("method") not in UNTIMED_METHODS:
            counts[float(labels["le"])] += round(value)
    return tuple(sorted(counts.items()))
