"""Going back takes less than five minutes, measured from the trigger until it is seen from outside."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of
from gonogo.checks.rollback.rehearsal import DEADLINE_S, probe
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

LIMIT_S = 300.0


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """The measured time, and the time with the detection that the watch may need before it."""
    facts = facts_of(readings)
    limits = ctx.environment.thresholds
    if not facts["ready"] or facts["ended_on"] != facts["serving"]:
        return Ruling(
            Answer.FAIL, "rollback", "the rehearsal did not end on the old version, ready", "do not ship"
        )
    detection_s = max(limits.unhealthy_s, limits.sustained_s)
    said = (
        f"{facts['rollback_s']:.3f} s from trigger to a served call; "
        f"{facts['rollback_s'] + detection_s:.1f} s with the slowest safety limit before it"
    )
    if facts["rollback_s"] >= LIMIT_S:
        return Ruling(
            Answer.FAIL, "rollback", f"{said}; expected below {LIMIT_S:g} s", "see what is slow to switch"
        )
    return Ruling(Answer.PASS, "rollback", said)


CHECK = Check(
    id="rollback.time",
    boxes=("rollback.time",),
    needs=frozenset({"scratch", "mcp", "previous"}),
    side_effect=SideEffect.DISRUPTIVE,
    deadline_s=DEADLINE_S,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
