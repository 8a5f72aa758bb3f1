"""Quantiles from a bucketed histogram, honest about what the buckets cannot tell.

Buckets are cumulative pairs of upper bound and count, the last bound being infinity. A quantile that
falls into the last bucket is only known to be above the largest finite bound, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isinf

Buckets = Sequence[tuple[float, int]]

QUANTILES = (0.99, 0.95, 0.9, 0.5)
MIN_TAIL_REQUESTS = 20


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile's value; with ``above_last`` the truth is larger and unknown."""

    value: float
    above_last: bool = False

    def __str__(self) -> str:
        return f"{'above ' if self.above_last else ''}{self.value * 1000:.4g} ms"


def total(buckets: Buckets) -> int:
    """Observations in all buckets."""
    return buckets[-1][1] if buckets else 0


def difference(later: Buckets, earlier: Buckets) -> tuple[tuple[float, int], ...]:
    """The histogram of what was observed between two cumulative ones; no earlier one counts as empty.

    Raises:
        ValueError: the bounds differ, or a count went back.
    """
    if not earlier:
        return tuple(later)
    if [bound for bound, _ in later] != [bound for bound, _ in earlier]:
        raise ValueError("the histograms have different buckets")
    result = tuple(
        (bound, count - before) for (bound, count), (_, before) in zip(later, earlier, strict=True)
    )
    if any(count < 0 for _, count in result):
        raise ValueError("a count went back between two readings")
    return result


def quantile(buckets: Buckets, q: float) -> Quantile | None:
    """The ``q`` quantile by linear interpolation inside its bucket; None without observations.

    Raises:
        ValueError: ``q`` is not between 0 and 1, or the buckets are not cumulative up to infinity.
    """
    if not 0 < q < 1:
        raise ValueError(f"q must lie between 0 and 1, got {q}")
    _require_cumulative(buckets)
    count = total(buckets)
    if count == 0:
        return None
    rank = q * count
    below_bound, below_count = 0.0, 0
    for bound, cumulative in buckets:
        if cumulative >= rank:
            if isinf(bound):
                return Quantile(below_bound, above_last=True)
            share = (rank - below_count) / (cumulative - below_count)
            return Quantile(min(below_bound + share * (bound - below_bound), bound))  # rounding may overshoot
        below_bound, below_count = bound, cumulative
    raise AssertionError("the last bucket holds every observation")


def finest_quantile(requests: int, requests_per_window: float) -> float | None:
    """The highest quantile that ``requests`` can carry, or None if they carry none.

    It needs 20 requests beyond it in all, and one in a usual window, else its summaries are noise.
    """
    for q in QUANTILES:
        if requests * (1 - q) >= MIN_TAIL_REQUESTS and requests_per_window * (1 - q) >= 1:
            return q
    return None


def _require_cumulative(buckets: Buckets) -> None:
    if buckets and buckets[-1][0] != inf:
        raise ValueError("the last bucket must reach to infinity")
    pairs = pairwise(buckets)
    if any(low[0] >= high[0] or low[1] > high[1] for low, high in pairs):
        raise ValueError("bounds and counts must not go back")
