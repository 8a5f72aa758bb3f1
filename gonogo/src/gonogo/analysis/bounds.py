"""Confidence bounds of a Bernoulli rate.

Wilson where a quick honest bound is wanted (safety limits), Clopper-Pearson where coverage must hold
exactly (proof that errors stay below a limit). Both answer (0, 1) without data: nothing is known then.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from scipy.stats import beta, norm


@dataclass(frozen=True, slots=True)
class Bounds:
    """Lower and upper one-sided bounds, each at the confidence asked for."""

    lower: float
    upper: float


def wilson(events: int, trials: int, *, confidence: float = 0.95) -> Bounds:
    """Wilson score bounds of a rate, each one-sided at ``confidence``.

    Raises:
        ValueError: the counts are impossible or the confidence is not between 0.5 and 1.
    """
    _require_counts(events, trials, confidence)
    if trials == 0:
        return Bounds(0.0, 1.0)
    z = float(norm.ppf(confidence))
    rate = events / trials
    spread = z * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    centre = rate + z * z / (2 * trials)
    lower = 0.0 if events == 0 else max(0.0, (centre - spread) / scale)
    upper = 1.0 if events == trials else min(1.0, (centre + spread) / scale)
    return Bounds(lower, upper)


def clopper_pearson(events: int, trials: int, *, confidence: float = 0.95) -> Bounds:
    """Exact bounds of a rate, each one-sided at ``confidence``: they never cover less than they say.

    Raises:
        ValueError: the counts are impossible or the confidence is not between 0.5 and 1.
    """
    _require_counts(events, trials, confidence)
    if trials == 0:
        return Bounds(0.0, 1.0)
    lower = 0.0 if events == 0 else float(beta.ppf(1 - confidence, events, trials - events + 1))
    upper = 1.0 if events == trials else float(beta.ppf(confidence, events + 1, trials - events))
    return Bounds(lower, upper)


def _require_counts(events: int, trials: int, confidence: float) -> None:
    if not 0 <= events <= trials:
        raise ValueError(f"events must lie between 0 and trials, got {events} of {trials}")
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1, got {confidence}")
