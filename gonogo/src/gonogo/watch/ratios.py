"""Latency and memory against the frozen baseline, as ratios with an interval.

Pure. These are the soft metrics: they are judged at fixed looks only, with the allowed false alarms
spent evenly over the looks and shared between the metrics by Holm's rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from gonogo.analysis.histogram import finest_quantile
from gonogo.analysis.ratio import ALPHA, RatioResult, compare, holm
from gonogo.config.schema import Thresholds
from gonogo.model.watch import Judgement, Outcome
from gonogo.watch.baseline import Baseline
from gonogo.watch.reader import Observation
from gonogo.watch.series import Series, key_of, summarise


def judge_ratios(
    observations: Sequence[Observation], baseline: Baseline | None, limits: Thresholds, *, at_look: bool
) -> tuple[Judgement, ...]:
    """Compare the candidate's windows with the baseline's; between looks nothing is decided."""
    before = baseline.series if baseline else Series()
    after = summarise([seen.sample for seen in observations if seen.sample])
    name = _quantile_name(before, after)
    latency = compare(before.latency.get(name, ()), after.latency.get(name, ()), margin=limits.latency_ratio)
    if name in before.latency_above_last:  # the baseline itself is only known to be larger: no ratio
        latency = replace(latency, outcome=Outcome.INCONCLUSIVE, lower=0.0, upper=inf, p_value=1.0)
    elif name in after.latency_above_last and latency.outcome is Outcome.PASS:
        latency = replace(latency, outcome=Outcome.INCONCLUSIVE, upper=inf)
    memory = compare(before.memory, after.memory, margin=limits.memory_ratio)
    results = (latency, memory)
    spent = ALPHA / (1 + limits.watch_extensions)
    failed = holm([result.p_value for result in results], spent)
    metrics = (f"latency-{name}", "memory")
    return tuple(
        _told(metric, result, failed=fell, at_look=at_look)
        for metric, result, fell in zip(metrics, results, failed, strict=True)
    )


def _quantile_name(before: Series, after: Series) -> str:
    requests = min(before.requests, after.requests)
    q = finest_quantile(requests, min(before.window_requests, after.window_requests))
    return key_of(q if q is not None else 0.5)


def _told(metric: str, result: RatioResult, *, failed: bool, at_look: bool) -> Judgement:
    outcome = result.outcome
    if outcome is not Outcome.NO_DATA:
        if not at_look or (outcome is Outcome.FAIL and not failed):
            outcome = Outcome.INCONCLUSIVE
        elif failed:
            outcome = Outcome.FAIL
    if outcome is Outcome.NO_DATA:
        reason = f"{result.samples} windows to compare, baseline {_size(result.baseline)}; expected both"
    else:
        reason = (
            f"{result.ratio:.3g} times the baseline (from {result.baseline:.4g} to {result.candidate:.4g}), "
            f"surely between {result.lower:.3g} and {result.upper:.3g}, margin {result.margin:g}; "
            f"{result.samples} windows worth {result.effective_samples:.1f}"
        )
    return Judgement(
        metric=metric,
        outcome=outcome,
        reason=reason,
        baseline=result.baseline or None,
        candidate=result.candidate or None,
        bound=result.upper,
        limit=result.margin,
        samples=result.samples,
        effective_samples=result.effective_samples,
    )


def _size(value: float) -> str:
    return f"{value:.4g}" if value else "empty"
