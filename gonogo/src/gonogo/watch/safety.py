"""Limits that act at once: no comparison, no patience beyond "sustained".

Pure. A component down for 30 s, errors above 10 % or a p99 above 5 s sustained over two minutes, or a
process that keeps dying: each of these alone rolls back, whatever the statistics would still say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf

from gonogo.analysis.bounds import wilson
from gonogo.analysis.histogram import difference, quantile
from gonogo.analysis.sustained import Evaluation, broken_for_s, broken_throughout
from gonogo.config.schema import Thresholds
from gonogo.model.watch import Judgement, Outcome
from gonogo.watch.reader import Observation

MAX_RESTARTS = 3
"""Processes that may die during a watch before it is a crash loop; a single one already denies a PASS."""

Window = tuple[Observation, Observation]


def judge_safety(observations: Sequence[Observation], limits: Thresholds) -> tuple[Judgement, ...]:
    """Judge the observations since the switch, oldest first, against every safety limit."""
    return (
        judge_health(observations, limits),
        judge_restarts(observations),
        judge_error_limit(observations, limits),
        judge_latency_limit(observations, limits),
    )


def judge_health(observations: Sequence[Observation], limits: Thresholds) -> Judgement:
    """Unhealthy or unreachable for ``unhealthy_s`` is FAIL; unhealthy now is not yet anything."""
    evaluations = [Evaluation(_seconds(seen), not seen.healthy, 0) for seen in observations]
    down_s = broken_for_s(evaluations, max_gap_s=2 * limits.step_s)
    last = observations[-1] if observations else None
    if last is None:
        outcome, reason = Outcome.NO_DATA, "the service was not looked at yet"
    elif last.healthy:
        outcome, reason = Outcome.PASS, f"healthy at each of the last {_healthy_run(observations)} looks"
    else:
        outcome = Outcome.FAIL if down_s >= limits.unhealthy_s else Outcome.INCONCLUSIVE
        what = last.problem or "a critical component is not up, or the service is not ready"
        reason = f"unhealthy for {down_s:g} s, limit {limits.unhealthy_s:g} s: {what}"
    return _judgement("component-health", outcome, reason, down_s, limits.unhealthy_s, len(observations))


def judge_restarts(observations: Sequence[Observation]) -> Judgement:
    """A process that died denies a PASS; three are a crash loop."""
    samples = [seen.sample for seen in observations if seen.sample]
    if len(samples) < 2:
        return _judgement("restarts", Outcome.NO_DATA, "no two samples to compare", 0, MAX_RESTARTS, 0)
    count = samples[-1].restarts - samples[0].restarts
    outcome = Outcome.PASS if count == 0 else Outcome.INCONCLUSIVE
    if count >= MAX_RESTARTS:
        outcome = Outcome.FAIL
    reason = f"{count} processes died since the switch; {MAX_RESTARTS} are a crash loop, none is expected"
    return _judgement("restarts", outcome, reason, count, MAX_RESTARTS, len(samples))


def judge_error_limit(observations: Sequence[Observation], limits: Thresholds) -> Judgement:
    """Errors above ``error_ratio_rollback`` at every evaluation, and the Wilson bound above it too."""
    limit = limits.error_ratio_rollback

    def broken(window: Window) -> tuple[bool | None, int]:
        requests, errors = counts_between(*window)
        return (errors / requests > limit if requests else None), requests

    sustained = _sustained(observations, limits, broken)
    requests, errors = recent_counts(observations, limits.sustained_s)
    lower = wilson(errors, requests).lower
    failed = sustained and lower > limit
    outcome = Outcome.NO_DATA if requests == 0 else Outcome.FAIL if failed else Outcome.PASS
    reason = (
        f"{errors} errors in {requests} requests of the last {limits.sustained_s:g} s, lower bound "
        f"{lower:.2%}, limit {limit:.0%}{' at every evaluation' if sustained else ''}"
    )
    ratio = errors / requests if requests else 0.0
    return _judgement("error-ratio-limit", outcome, reason, ratio, limit, requests, bound=lower)


def judge_latency_limit(observations: Sequence[Observation], limits: Thresholds) -> Judgement:
    """p99 above ``latency_p99_rollback_s`` at every evaluation over the span."""
    limit_s = limits.latency_p99_rollback_s

    def broken(window: Window) -> tuple[bool | None, int]:
        buckets = _buckets_between(*window)
        value = quantile(buckets, 0.99) if buckets else None
        return (None if value is None else value.value > limit_s), counts_between(*window)[0]

    sustained = _sustained(observations, limits, broken)
    span = _inside(observations, limits.sustained_s)
    buckets = _buckets_between(span[0], span[-1]) if len(span) > 1 else ()
    value = quantile(buckets, 0.99) if buckets else None
    if value is None:
        return _judgement(
            "latency-p99-limit", Outcome.NO_DATA, "no request was timed", 0.0, limit_s, 0, bound=None
        )
    failed = sustained and value.value > limit_s
    reason = (
        f"p99 {value} over the last {limits.sustained_s:g} s, limit {limit_s:g} s"
        f"{' at every evaluation' if sustained else ''}"
    )
    outcome = Outcome.FAIL if failed else Outcome.PASS
    return _judgement("latency-p99-limit", outcome, reason, value.value, limit_s, buckets[-1][1])


def counts_between(earlier: Observation, later: Observation) -> tuple[int, int]:
    """Requests and errors between two observations; unanswered synthetic calls count as both."""
    lost = later.unanswered - earlier.unanswered
    before, after = earlier.sample, later.sample
    if before is None or after is None:
        return lost, lost
    return after.requests - before.requests + lost, after.errors - before.errors + lost


def recent_counts(observations: Sequence[Observation], span_s: float) -> tuple[int, int]:
    """Requests and errors of the last ``span_s`` seconds."""
    span = _inside(observations, span_s)
    return counts_between(span[0], span[-1]) if len(span) > 1 else (0, 0)


def _sustained(
    observations: Sequence[Observation],
    limits: Thresholds,
    broken: Callable[[Window], tuple[bool | None, int]],
) -> bool:
    known = [seen for seen in observations if seen.sample]
    evaluations = []
    for window in pairwise(known):
        state, requests = broken(window)
        evaluations.append(Evaluation(_seconds(window[1]), state, requests))
    return broken_throughout(
        evaluations,
        span_s=limits.sustained_s,
        step_s=limits.step_s,
        min_requests=limits.sustained_min_requests,
    )


def _inside(observations: Sequence[Observation], span_s: float) -> list[Observation]:
    """Observations with a sample from ``span_s`` before the last one on."""
    known = [seen for seen in observations if seen.sample]
    begin = _seconds(known[-1]) - span_s if known else inf
    return [seen for seen in known if _seconds(seen) >= begin - 0.5]


def _buckets_between(earlier: Observation, later: Observation) -> tuple[tuple[float, int], ...]:
    before, after = earlier.sample, later.sample
    assert before is not None
    assert after is not None
    return difference(after.latency_buckets, before.latency_buckets)


def _healthy_run(observations: Sequence[Observation]) -> int:
    count = 0
    for seen in reversed(observations):
        if not seen.healthy:
            break
        count += 1
    return count


def _seconds(seen: Observation) -> float:
    return seen.at.timestamp()


def _judgement(
    metric: str,
    outcome: Outcome,
    reason: str,
    candidate: float,
    limit: float,
    samples: int,
    *,
    bound: float | None = None,
) -> Judgement:
    return Judgement(metric, outcome, reason, None, candidate, bound, limit, samples, samples, urgent=True)
