"""Is the candidate slower or bigger than the frozen baseline? An interval for the ratio, not a p-value.

Neighbouring samples of latency and memory resemble each other. Counting them as independent is what
makes the usual comparisons cry wolf; here each series counts as n(1-phi)/(1+phi) samples, with phi its
lag-1 correlation corrected for the bias of short series. The interval is that of the difference of mean
logarithms with Welch's degrees of freedom.

A series that hardly moves by chance but drifts, such as the memory of a young process, is worth next to
no independent samples. Then nothing is estimated: the bounds are the ranges themselves, so that only
samples that all lie on one side of the margin decide, and a FAIL needs long series on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt

import numpy as np
from scipy.stats import t as student_t

from gonogo.model.watch import Outcome

ALPHA = 0.01
MIN_SAMPLES = 8
MIN_EFFECTIVE = 3.0
MIN_RANGE_SAMPLES = 48
"""Ranges of shorter series can part by drift alone, so they never fail a release."""
_PHI_MAX = 0.98


@dataclass(frozen=True, slots=True)
class RatioResult:
    """The verdict on a ratio with the numbers behind it.

    Attributes:
        ratio: geometric mean of the candidate over that of the baseline.
        lower, upper: bounds of the ratio, each one-sided at 1 - alpha.
        p_value: chance of a ratio this high or higher if the true one were the margin.
        effective_samples: of the candidate, after autocorrelation.
    """

    outcome: Outcome
    ratio: float
    lower: float
    upper: float
    p_value: float
    margin: float
    baseline: float
    candidate: float
    samples: int
    effective_samples: float
    baseline_effective: float


@dataclass(frozen=True, slots=True)
class _Series:
    mean: float
    variance: float
    count: int
    effective: float


def autocorrelation(values: Sequence[float]) -> float:
    """Lag-1 correlation with the bias of short series removed, between 0 and 0.98.

    A negative correlation counts as 0: it would make the samples worth more than there are.
    """
    data = np.asarray(values, dtype=float)
    centred = data - data.mean()
    power = float(centred @ centred)
    rounding = len(data) * (1e-12 * float(np.abs(data).max(initial=1.0))) ** 2
    if len(data) < 3 or power <= rounding:  # constant but for how floats are rounded
        return 0.0
    raw = float(centred[1:] @ centred[:-1]) / power
    corrected = raw + (1 + 3 * raw) / len(data)
    return min(max(corrected, 0.0), _PHI_MAX)


def compare(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    margin: float,
    alpha: float = ALPHA,
) -> RatioResult:
    """Compare positive samples of the candidate with those of the baseline.

    FAIL if the ratio is surely above ``margin``, PASS if surely below, otherwise INCONCLUSIVE; too few
    samples to say anything is INCONCLUSIVE, none at all on either side is NO_DATA.

    Raises:
        ValueError: a sample is not positive, or the margin is not above 0.
    """
    if margin <= 0:
        raise ValueError(f"margin must be above 0, got {margin}")
    if not baseline or not candidate:
        return _without_interval(Outcome.NO_DATA, baseline, candidate, margin)
    if min(*baseline, *candidate, inf) <= 0:
        raise ValueError("samples must be above 0")
    if min(len(baseline), len(candidate)) < MIN_SAMPLES:
        return _without_interval(Outcome.INCONCLUSIVE, baseline, candidate, margin)
    before, after = _describe(baseline), _describe(candidate)
    if min(before.effective, after.effective) < MIN_EFFECTIVE:
        lower, upper = min(candidate) / max(baseline), max(candidate) / min(baseline)
        enough = min(len(baseline), len(candidate)) >= MIN_RANGE_SAMPLES
        p_value = 0.0 if lower > margin and enough else 1.0
    else:
        lower, upper, p_value = _interval(before, after, margin, alpha)
    outcome = Outcome.INCONCLUSIVE
    if lower > margin and p_value <= alpha:
        outcome = Outcome.FAIL
    elif upper < margin:
        outcome = Outcome.PASS
    return RatioResult(
        outcome=outcome,
        ratio=exp(after.mean - before.mean),
        lower=lower,
        upper=upper,
        p_value=p_value,
        margin=margin,
        baseline=exp(before.mean),
        candidate=exp(after.mean),
        samples=after.count,
        effective_samples=after.effective,
        baseline_effective=before.effective,
    )


def holm(p_values: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which of several hypotheses fall when the chance of felling any true one stays below ``alpha``."""
    fallen = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - place):
            break
        fallen[index] = True
    return tuple(fallen)


def _interval(before: _Series, after: _Series, margin: float, alpha: float) -> tuple[float, float, float]:
    parts = (before.variance / before.effective, after.variance / after.effective)
    error = sqrt(sum(parts))
    difference = after.mean - before.mean
    excess = difference - log(margin)
    if error == 0:
        return exp(difference), exp(difference), 0.0 if excess > 0 else 1.0
    freedom = sum(parts) ** 2 / (
        parts[0] ** 2 / (before.effective - 1) + parts[1] ** 2 / (after.effective - 1)
    )
    reach = float(student_t.ppf(1 - alpha, freedom)) * error
    p_value = float(student_t.sf(excess / error, freedom))
    return exp(difference - reach), exp(min(difference + reach, 700.0)), p_value


def _describe(values: Sequence[float]) -> _Series:
    logs = np.log(np.asarray(values, dtype=float))
    count = len(logs)
    phi = autocorrelation(logs.tolist())
    effective = count * (1 - phi) / (1 + phi)
    # The usual variance of correlated samples is too small by the variance of their mean.
    shrink = 1 - 1 / effective if effective > 1 else 1.0
    variance = float(logs.var()) / shrink
    return _Series(float(logs.mean()), variance, count, effective)


def _without_interval(
    outcome: Outcome, baseline: Sequence[float], candidate: Sequence[float], margin: float
) -> RatioResult:
    before = float(np.exp(np.mean(np.log(baseline)))) if baseline else 0.0
    after = float(np.exp(np.mean(np.log(candidate)))) if candidate else 0.0
    return RatioResult(
        outcome=outcome,
        ratio=after / before if before and after else 1.0,
        lower=0.0,
        upper=inf,
        p_value=1.0,
        margin=margin,
        baseline=before,
        candidate=after,
        samples=len(candidate),
        effective_samples=0.0,
        baseline_effective=0.0,
    )
