"""The way back was walked with this very pair of versions, and nobody's call failed on the way."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of
from gonogo.checks.rollback.rehearsal import DEADLINE_S, MIN_CALLS, probe
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Ended on the old version, ready, with no failed call among enough of them."""
    facts = facts_of(readings)
    previous = ctx.previous_manifest.version if ctx.previous_manifest else facts["serving"]
    subject = f"{previous} → {ctx.manifest.version} → {previous}"
    if facts["candidate"] != ctx.manifest.version:
        return Ruling(
            Answer.FAIL,
            subject,
            f"after the switch /health named version {facts['candidate']}; expected {ctx.manifest.version}",
            "see whether the candidate really took over",
        )
    if facts["ended_on"] != facts["serving"] or not facts["ready"]:
        return Ruling(
            Answer.FAIL,
            subject,
            f"ended on {facts['ended_on']}, ready is {facts['ready']}; expected {facts['serving']} and True",
            "do not ship: the way back does not work",
        )
    calls, failed = facts["calls"], facts["failed"]
    if failed:
        return Ruling(
            Answer.FAIL,
            subject,
            f"{failed} of {calls} calls failed on the way; expected 0; first: {facts['failures'][0]}",
            "see the failures in the evidence",
        )
    if calls < MIN_CALLS:
        return Ruling(
            Answer.UNKNOWN, subject, f"only {calls} calls were made during the rehearsal; {MIN_CALLS} needed"
        )
    return Ruling(
        Answer.PASS, subject, f"back on what served before, ready, {failed} of {calls} calls failed"
    )


CHECK = Check(
    id="rollback.staging-rehearsal",
    boxes=("rollback.staging-rehearsal",),
    needs=frozenset({"scratch", "mcp", "previous"}),
    side_effect=SideEffect.DISRUPTIVE,
    deadline_s=DEADLINE_S,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
