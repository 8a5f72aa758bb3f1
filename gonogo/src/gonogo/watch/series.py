"""Turns cumulative samples into what the statistics compare: one summary for each window.

Pure. Shared by the baseline and the candidate, so that both are summarised in exactly the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from gonogo.analysis.histogram import QUANTILES, difference, quantile, total
from gonogo.model.watch import Sample

MAX_WINDOWS = 400


@dataclass(frozen=True, slots=True)
class Series:
    """Summaries of consecutive windows.

    Attributes:
        requests, errors, tool_errors: counts over all windows.
        latency: for each quantile, its value in every window that had requests, seconds.
        latency_above_last: quantiles of which some window lay above the last bucket.
        memory: resident bytes at the end of each window.
        cpu: processor seconds used per second, for each window.
        window_requests: median number of requests of a window.
    """

    requests: int = 0
    errors: int = 0
    tool_errors: int = 0
    latency: dict[str, tuple[float, ...]] = field(default_factory=dict)
    latency_above_last: frozenset[str] = frozenset()
    memory: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    window_requests: float = 0.0


def key_of(q: float) -> str:
    """The name of a quantile, such as ``p99``."""
    return f"p{q * 100:g}"


def summarise(samples: Sequence[Sample]) -> Series:
    """Summaries of the windows between ``samples``, oldest first; too many windows are merged."""
    chosen = _thinned(samples)
    if len(chosen) < 2:
        return Series()
    latency: dict[str, list[float]] = {key_of(q): [] for q in QUANTILES}
    above: set[str] = set()
    memory, cpu, counts = [], [], []
    for earlier, later in pairwise(chosen):
        window = difference(later.latency_buckets, earlier.latency_buckets)
        counts.append(total(window))
        for q in QUANTILES:
            value = quantile(window, q)
            if value is not None and value.value > 0:
                latency[key_of(q)].append(_rounded(value.value))
                above |= {key_of(q)} if value.above_last else set()
        if later.memory_bytes > 0:
            memory.append(float(later.memory_bytes))
        span_s = (later.at - earlier.at).total_seconds()
        if span_s > 0:
            cpu.append(_rounded(max(later.cpu_s - earlier.cpu_s, 0.0) / span_s))
    first, last = chosen[0], chosen[-1]
    return Series(
        requests=last.requests - first.requests,
        errors=last.errors - first.errors,
        tool_errors=last.tool_errors - first.tool_errors,
        latency={name: tuple(values) for name, values in latency.items()},
        latency_above_last=frozenset(above),
        memory=tuple(memory),
        cpu=tuple(cpu),
        window_requests=float(median(counts)),
    )


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Every k-th sample, counted from the last, so that at most ``MAX_WINDOWS`` windows remain."""
    stride = -(-max(len(samples) - 1, 1) // MAX_WINDOWS)
    return samples if stride == 1 else samples[::-1][::stride][::-1]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
