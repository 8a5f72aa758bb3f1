"""The baseline holds the memory of the serving generation."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from gonogo.checks.baseline.recorded import probe
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

_MEBI = 1024 * 1024


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Values above zero, with their mean, greatest and slope."""
    facts = facts_of(readings)
    subject, memory = f"generation {facts['generation']}", facts["memory"]
    if not memory or min(memory) <= 0:
        return Ruling(
            Answer.UNKNOWN,
            subject,
            f"{len(memory)} values of resident memory; expected some above 0",
            "gonogo status",
        )
    slope = (memory[-1] - memory[0]) / max(facts["span_s"], 1.0)
    return Ruling(
        Answer.PASS,
        subject,
        f"mean {fmean(memory) / _MEBI:.1f} MiB, greatest {max(memory) / _MEBI:.1f} MiB, "
        f"{slope / 1024:+.1f} KiB/s over {facts['span_s']:.0f} s",
    )


CHECK = Check(
    id="baseline.memory",
    boxes=("baseline.memory",),
    needs=frozenset({"baseline"}),
    deadline_s=120.0,
    probe=probe,
    judge=judge,
)
