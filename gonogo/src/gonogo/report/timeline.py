"""Deployments as a page shows them: steps with durations, judgements, charts, the way back.

Computed from the release's record and its watch entries; it judges nothing and reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from gonogo.analysis.histogram import difference, quantile
from gonogo.model.codec import from_json
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.watch import Judgement, Outcome, Sample
from gonogo.release.record import DeploymentRecord, StepRecord
from gonogo.report.chart import Chart, Mark, draw
from gonogo.watch.baseline import Baseline
from gonogo.watch.reader import Observation

QUANTILE = 0.95
MIN_BEFORE_S = 30.0
_WORST_FIRST = (Outcome.FAIL, Outcome.ABORTED, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS)
STATE_WORDS = {"finished": "done", "started": "running", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class StepView:
    """One step. ``share_percent`` is its part of the longest step, for a bar."""

    name: str
    state: str
    elapsed_s: float | None
    share_percent: int
    text: str
    attempts: int


@dataclass(frozen=True, slots=True)
class RollbackView:
    """The way back. ``elapsed_s`` counts from the verdict to the previous version seen serving."""

    reason: str
    trigger: str
    started_at: datetime
    elapsed_s: float | None
    observed: str


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One deployment; ``charts`` are SVG elements."""

    id: str
    old: str
    new: str
    actor: str
    outcome: str
    sentence: str
    started_at: datetime
    elapsed_s: float | None
    steps: tuple[StepView, ...]
    rollback: RollbackView | None
    judgements: tuple[Judgement, ...]
    charts: tuple[str, ...]
    announcements: tuple[str, ...]


def deployment_view(
    record: DeploymentRecord,
    entries: Iterable[Entry],
    baseline: Baseline | None,
    announcements: Iterable[Entry],
) -> DeploymentView:
    """The view of one deployment.

    Args:
        entries: entries of the release; only those of this deployment's watch and end are used.
        announcements: of the release; only those of this deployment are used.
    """
    own = [entry for entry in entries if entry.body.get("deployment") == record.id]
    observed = {step.step: _observed(step) for step in record.steps}
    samples = _samples(own)
    return DeploymentView(
        id=record.id,
        old=str(observed.get("snapshot", {}).get("version", "")),
        new=str(record.facts.get("version", "")),
        actor=record.actor,
        outcome=record.outcome or "running",
        sentence=_sentence(record, own),
        started_at=record.started_at,
        elapsed_s=_span_s(record.started_at, record.finished_at),
        steps=_steps(record.steps),
        rollback=_rollback(record),
        judgements=_judgements(own),
        charts=_charts(record, samples, _usable(baseline, observed)),
        announcements=tuple(
            f"{entry.at:%H:%M:%S} {entry.body['text']}"
            for entry in announcements
            if str(entry.body.get("id", "")).startswith(f"{record.id}/")
        ),
    )


def _observed(step: StepRecord) -> Mapping[str, Any]:
    found = step.facts.get("observed")
    return found if isinstance(found, Mapping) else {}


def _sentence(record: DeploymentRecord, own: Sequence[Entry]) -> str:
    ends = [entry.body for entry in own if entry.kind is EntryKind.DEPLOYMENT_FINISHED]
    if ends:
        return str(ends[-1].get("reason") or "")
    last = record.steps[-1].step if record.steps else "its start"
    return f"not finished; it reached {last}"


def _steps(steps: Sequence[StepRecord]) -> tuple[StepView, ...]:
    took = [step.facts.get("elapsed_s", _span_s(step.started_at, step.ended_at)) for step in steps]
    longest = max((seconds for seconds in took if seconds is not None), default=0.0) or 1.0
    return tuple(
        StepView(
            name=step.step,
            state=_state(step),
            elapsed_s=seconds,
            share_percent=round(100 * (seconds or 0.0) / longest),
            text=_step_text(step),
            attempts=step.attempt,
        )
        for step, seconds in zip(steps, took, strict=True)
    )


def _state(step: StepRecord) -> str:
    """How the step ended; a watch that ended in order but badly says how."""
    outcome = _observed(step).get("outcome", Outcome.PASS)
    return STATE_WORDS.get(step.state, step.state) if outcome == Outcome.PASS else str(outcome)


def _step_text(step: StepRecord) -> str:
    error = step.facts.get("error")
    if isinstance(error, Mapping):
        return f"error[{error.get('id')}]: {error.get('message')}"
    return str(_observed(step).get("text", ""))


def _rollback(record: DeploymentRecord) -> RollbackView | None:
    facts = record.rollback
    if facts is None:
        return None
    verdict_at = facts.get("verdict_at")
    observed = facts.get("observed")
    seen = observed if isinstance(observed, Mapping) else {}
    return RollbackView(
        reason=str(facts.get("reason", "")),
        trigger=str(facts.get("trigger", "")),
        started_at=datetime.fromisoformat(verdict_at) if isinstance(verdict_at, str) else record.started_at,
        elapsed_s=facts.get("elapsed_s"),
        observed=f"{seen['version']} ({seen.get('generation', '?')}) seen serving"
        if seen.get("version")
        else "",
    )


def _judgements(own: Sequence[Entry]) -> tuple[Judgement, ...]:
    """The last word on each metric, worst first."""
    judged = [entry.body["judgements"] for entry in own if entry.kind is EntryKind.WATCH_JUDGED]
    last = [from_json(Judgement, body) for body in judged[-1]] if judged else []
    return tuple(sorted(last, key=lambda judgement: _WORST_FIRST.index(judgement.outcome)))


def _samples(own: Sequence[Entry]) -> list[Sample]:
    looks = [
        from_json(Observation, entry.body["observation"])
        for entry in own
        if entry.kind is EntryKind.WATCH_SAMPLE
    ]
    return [look.sample for look in looks if look.sample is not None]


def _usable(baseline: Baseline | None, observed: Mapping[str, Mapping[str, Any]]) -> Baseline | None:
    """The baseline, if it is of the generation that this deployment replaced."""
    replaced = observed.get("snapshot", {}).get("generation")
    return baseline if baseline is not None and baseline.generation == replaced else None


def _charts(record: DeploymentRecord, samples: list[Sample], baseline: Baseline | None) -> tuple[str, ...]:
    switch = next((step for step in record.steps if step.step == "switch" and step.ended_at), None)
    if switch is None or switch.ended_at is None or len(samples) < 2:
        return ()
    at = switch.ended_at
    marks = [Mark(0.0, "switch")]
    back = _rollback(record)
    if back is not None:
        marks.append(Mark((back.started_at - at).total_seconds(), "verdict: roll back", "rollback"))
    reach_s = max((samples[-1].at - at).total_seconds(), MIN_BEFORE_S)
    before = _before(baseline, at, reach_s)
    latency = f"p{QUANTILE * 100:g}"
    charts = (
        Chart(
            "Errors, share of requests",
            "%",
            [*before.errors, *_errors(samples, at)],
            marks,
            scale=100.0,
            most=100.0,
        ),
        Chart(f"Latency, {latency}", "ms", [*before.latency, *_latency(samples, at)], marks, scale=1000.0),
    )
    return tuple(drawn for drawn in map(draw, charts) if drawn)


@dataclass(frozen=True, slots=True)
class _Before:
    errors: list[tuple[float, float | None]]
    latency: list[tuple[float, float | None]]


def _before(baseline: Baseline | None, switch: datetime, reach_s: float) -> _Before:
    """The baseline as points before the switch: errors as their mean, latency window by window."""
    if baseline is None or not baseline.series.requests:
        return _Before([], [])
    began_s = (baseline.began_at - switch).total_seconds()
    ended_s = min((baseline.ended_at - switch).total_seconds(), 0.0)
    ratio = baseline.series.errors / baseline.series.requests
    windows = baseline.series.latency.get(f"p{QUANTILE * 100:g}", ())
    step_s = (ended_s - began_s) / max(len(windows), 1)
    points = [(began_s + step_s * (index + 1), value) for index, value in enumerate(windows)]
    near = [(at_s, value) for at_s, value in points if at_s >= -reach_s]
    errors: list[tuple[float, float | None]] = [(max(began_s, -reach_s), ratio), (ended_s, ratio)]
    gap: list[tuple[float, float | None]] = [(ended_s, None)]
    return _Before(errors + gap, [*near, *gap] if near else [])


def _errors(samples: Sequence[Sample], switch: datetime) -> list[tuple[float, float | None]]:
    points: list[tuple[float, float | None]] = []
    for earlier, later in pairwise(samples):
        requests = later.requests - earlier.requests
        share = (later.errors - earlier.errors) / requests if requests > 0 else None
        points.append(((later.at - switch).total_seconds(), share))
    return points


def _latency(samples: Sequence[Sample], switch: datetime) -> list[tuple[float, float | None]]:
    points: list[tuple[float, float | None]] = []
    for earlier, later in pairwise(samples):
        found = quantile(difference(later.latency_buckets, earlier.latency_buckets), QUANTILE)
        points.append(((later.at - switch).total_seconds(), found.value if found else None))
    return points


def _span_s(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()
