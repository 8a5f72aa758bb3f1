"""The sequential error tests of a watch: errors of the service, and failures of its tools.

Pure. Errors are held against the configured limit. Tool-level failures are counted apart: callers cause
them too, so only a rate provably above what the baseline had counts against the release.
"""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.analysis.bounds import clopper_pearson
from gonogo.analysis.sequential import RateResult, judge_rate, limit_rate
from gonogo.config.schema import Thresholds
from gonogo.model.watch import Judgement, Outcome
from gonogo.watch.baseline import Baseline
from gonogo.watch.reader import Observation
from gonogo.watch.safety import counts_between

ERRORS = "error-ratio"
TOOL_ERRORS = "tool-error-ratio"
_TOOL_CEILING = 0.95


def judge_rates(
    observations: Sequence[Observation], baseline: Baseline | None, limits: Thresholds, *, at_end: bool
) -> tuple[Judgement, ...]:
    """Judge all that happened since the first observation."""
    known = [seen for seen in observations if seen.sample]
    first, last = (known[0], known[-1]) if known else (None, None)
    requests, errors = counts_between(first, last) if first and last else (0, 0)
    tool_errors = (
        last.sample.tool_errors - first.sample.tool_errors
        if first and last and first.sample and last.sample
        else 0
    )
    before = baseline.series if baseline else None
    p0 = limit_rate(
        limits.error_ratio,
        limits.error_ratio_rollback,
        before.errors if before else 0,
        before.requests if before else 0,
    )
    tool_p0 = limits.error_ratio
    if before and before.requests:
        upper = clopper_pearson(before.tool_errors, before.requests, confidence=0.975).upper
        tool_p0 = min(max(tool_p0, 1.5 * upper), _TOOL_CEILING)
    served = min(errors, requests), max(requests, 0)
    return (
        _told(
            ERRORS,
            judge_rate(*served, p0=p0, limit=limits.error_ratio, at_end=at_end),
            limits.error_ratio,
            before.errors / before.requests if before and before.requests else None,
        ),
        _told(
            TOOL_ERRORS,
            judge_rate(min(tool_errors, served[1]), served[1], p0=tool_p0, limit=tool_p0, at_end=at_end),
            tool_p0,
            before.tool_errors / before.requests if before and before.requests else None,
        ),
    )


def _told(metric: str, result: RateResult, limit: float, baseline: float | None) -> Judgement:
    if result.outcome is Outcome.NO_DATA:
        reason = "no request was counted since the switch"
    else:
        reason = (
            f"{result.events} of {result.trials} requests ({result.rate:.2%}), upper bound "
            f"{result.upper:.2%}, limit {limit:.2%}; evidence against at most {result.p0:.2%} is "
            f"{result.e_value:.3g}, 200 fails"
        )
    return Judgement(
        metric=metric,
        outcome=result.outcome,
        reason=reason,
        baseline=baseline,
        candidate=result.rate,
        bound=result.upper,
        limit=limit,
        samples=result.trials,
        effective_samples=float(result.trials),
    )
