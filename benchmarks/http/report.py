"""Turns samples into the table and the ratios. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.http.measuring import MOST_NOISE, Sample
from benchmarks.http.targets import GOALS, TAIL_RATIO, Goal

_COLUMNS: Final = (
    "server", "answers/s", "p50 ms", "p99 ms", "CPU µs a call", "= calls/s of a core",
    "p99/p50 at 70 % (whole run)", "MB", "noise", "repetitions",
)  # fmt: skip


@dataclass(frozen=True)
class Median:
    """The median of what a target did in its repetitions; ``clean`` says that not all of them were noisy."""

    sample: Sample
    repetitions: int
    clean: bool


@dataclass(frozen=True)
class Ratio:
    """How a goal was met."""

    goal: Goal
    times: float

    @property
    def met(self) -> bool:
        """Whether the least was reached."""
        return self.times >= self.goal.least

    @property
    def aim_met(self) -> bool:
        """Whether the aim was reached."""
        return self.times >= self.goal.aim


def medians(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Median]:
    """One figure of each kind for each target; noisy repetitions count only when there is no other."""
    found = {}
    for name, all_of_it in samples.items():
        quiet = [sample for sample in all_of_it if sample.noise <= MOST_NOISE]
        used = quiet or all_of_it
        if used:
            found[name] = Median(_median_of(used), len(used), bool(quiet))
    return found


def _median_of(samples: Sequence[Sample]) -> Sample:
    return Sample(
        rate_per_s=statistics.median(s.rate_per_s for s in samples),
        p50_ms=statistics.median(s.p50_ms for s in samples),
        p99_ms=statistics.median(s.p99_ms for s in samples),
        cpu_us=statistics.median(s.cpu_us for s in samples),
        noise=statistics.median(s.noise for s in samples),
        memory_mb=statistics.median(s.memory_mb for s in samples),
        tail=_median_of_some(s.tail for s in samples),
        whole_tail=_median_of_some(s.whole_tail for s in samples),
    )


def _median_of_some(figures: Iterable[float | None]) -> float | None:
    measured = [figure for figure in figures if figure is not None]
    return statistics.median(measured) if measured else None


def ratios(found: Mapping[str, Median], goals: Sequence[Goal] = GOALS) -> list[Ratio]:
    """Every goal for which both servers were measured, by CPU time of the server for one request."""
    return [
        Ratio(goal, found[goal.peer].sample.cpu_us / found[goal.ours].sample.cpu_us)
        for goal in goals
        if goal.ours in found and goal.peer in found
    ]


def tables(found: Mapping[str, Median], judged: Sequence[Ratio], failed: Mapping[str, str]) -> str:
    """The results as Markdown."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---" + "|---:" * (len(_COLUMNS) - 1) + "|",
        *(_row(name, median) for name, median in found.items()),
        *(f"| {name} | failed: {reason} |" for name, reason in failed.items()),
        "",
        "| ratio of CPU time | measured | aim | least | |",
        "|---|---:|---:|---:|---|",
        *(_ratio_row(ratio) for ratio in judged),
    ]
    return "\n".join(lines)


def _row(name: str, median: Median) -> str:
    s = median.sample
    tail = "" if s.tail is None else f"{s.tail:.1f}" + ("" if s.tail <= TAIL_RATIO else " !")
    tail += "" if s.whole_tail is None else f" ({s.whole_tail:.0f})"
    noise = f"{s.noise:.0%}" + ("" if median.clean else " !")
    return (
        f"| {name} | {s.rate_per_s:,.0f} | {s.p50_ms:.2f} | {s.p99_ms:.2f} | {s.cpu_us:.1f} "
        f"| {s.core_rate_per_s:,.0f} | {tail} | {s.memory_mb:.0f} | {noise} | {median.repetitions} |"
    )


def _ratio_row(ratio: Ratio) -> str:
    goal = ratio.goal
    verdict = "aim met" if ratio.aim_met else "least met" if ratio.met else "missed"
    return f"| {goal.ours} / {goal.peer} | {ratio.times:.2f} | {goal.aim:g} | {goal.least:g} | {verdict} |"
