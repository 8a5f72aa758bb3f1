"""The baseline: what the service looked like before the switch, measured once and then frozen.

A baseline is an entry of the journal. The watch after the switch, and the longer ones later, compare
with that entry and never with a moving past.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gonogo.journal.journal import Journal
from gonogo.model.clock import Clock
from gonogo.model.codec import from_json, to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.watch import Sample
from gonogo.watch.reader import SampleReader, Sleep, observe
from gonogo.watch.series import Series, summarise

MAX_MISSED = 3
"""Looks in a row without an answer that end the collection."""

MAX_STRETCH = 4
"""A collection that saw too few requests goes on for at most this many times its span."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Summaries of the serving generation before a release.

    Attributes:
        began_at, ended_at: UTC.
        step_s: time between two samples, seconds.
    """

    generation: str
    began_at: datetime
    ended_at: datetime
    step_s: float
    series: Series

    @property
    def span_s(self) -> float:
        """What it covers, seconds."""
        return (self.ended_at - self.began_at).total_seconds()


async def collect_baseline(
    reader: SampleReader,
    span_s: float,
    step_s: float,
    clock: Clock,
    *,
    generation: str,
    sleep: Sleep,
    min_requests: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Baseline:
    """Sample ``generation`` every ``step_s`` seconds for ``span_s`` seconds, longer where traffic is thin.

    Args:
        min_requests: until so many were seen it goes on, for four times ``span_s`` at most.

    Raises:
        GonogoError: baseline.unreachable after three looks in a row without an answer, or
            baseline.too-short if the span holds less than one step.
    """
    if span_s < step_s or step_s <= 0:
        raise GonogoError(
            "baseline.too-short",
            f"a baseline needs at least one step, got {span_s:g} s in steps of {step_s:g} s",
            hint="raise baseline_s or lower step_s in [environments.NAME.thresholds]",
        )
    began_at = clock()
    samples: list[Sample] = []
    missed = 0
    steps = int(span_s / step_s)
    for step in range(MAX_STRETCH * steps + 1):
        if step > steps and _requests_in(samples) >= min_requests:
            break
        due = began_at + timedelta(seconds=step * step_s)
        await sleep(max((due - clock()).total_seconds(), 0.0))
        seen = await observe(reader, generation, clock, before=samples[-1] if samples else None)
        missed = 0 if seen.sample else missed + 1
        if seen.sample:
            samples.append(seen.sample)
        if missed == MAX_MISSED:
            raise GonogoError(
                "baseline.unreachable",
                f"{MAX_MISSED} looks in a row brought no sample of generation {generation}: {seen.problem}",
                hint="gonogo status shows whether the service answers",
                exit_code=1,
            )
        if progress:
            progress(f"{len(samples)} samples of {steps + 1}")
    return Baseline(generation, began_at, clock(), step_s, summarise(samples))


def _requests_in(samples: list[Sample]) -> int:
    return samples[-1].requests - samples[0].requests if samples else 0


def record_baseline(journal: Journal, baseline: Baseline, *, release: str, actor: str = "gonogo") -> None:
    """Freeze ``baseline`` as an entry."""
    journal.append(EntryKind.BASELINE, to_json(baseline), actor=actor, release=release)


def latest_baseline(journal: Journal, release: str) -> Baseline | None:
    """The baseline recorded last for ``release``, or None."""
    bodies: list[Any] = [
        entry.body for entry in journal.entries(release=release, kinds=frozenset({EntryKind.BASELINE}))
    ]
    return from_json(Baseline, bodies[-1]) if bodies else None
