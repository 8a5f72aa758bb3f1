"""The candidate logs at info or warning: as declared, and as it really runs."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.checks.rollback.rehearsal import DEADLINE_S
from gonogo.checks.rollback.rehearsal import probe as rehearsal
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SETTING = "log.level"
DECLARED = "declared log level"
_GOOD = {"info": Answer.PASS, "warning": Answer.WARN}


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The manifest's level; and if it does not already decide, the level of the candidate while it served."""
    declared = ctx.manifest.guest.config.get(SETTING)
    readings = [json_reading(DECLARED, {"level": declared})]
    if declared is None or str(declared) in _GOOD:
        readings += await rehearsal(ctx)
    return readings


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Info passes, warning passes with a note, debug and anything else fails."""
    declared = facts_of(readings, DECLARED)["level"]
    subject = f"release {ctx.manifest.version}"
    hint = f'write "{SETTING}" = "info" under [guest.config] in the manifest'
    if declared is not None and declared not in _GOOD:
        return Ruling(Answer.FAIL, subject, f"{SETTING} is declared {declared}; expected info", hint)
    entry = facts_of(readings[1:])["candidate_config"].get("values", {}).get(SETTING)
    if not isinstance(entry, dict) or "value" not in entry:
        return Ruling(Answer.UNKNOWN, subject, f"the running candidate does not tell its {SETTING}")
    level, source = entry["value"], entry.get("source")
    said = f"effective {SETTING} is {level} (from {source})"
    if level not in _GOOD:
        return Ruling(Answer.FAIL, subject, f"{said}; expected info", hint)
    if _GOOD[level] is Answer.WARN:
        return Ruling(Answer.WARN, subject, f"{said}; info is expected, warning is accepted")
    return Ruling(Answer.PASS, subject, said)


CHECK = Check(
    id="config.log-level-info",
    boxes=("config.log-level-info",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.DISRUPTIVE,
    deadline_s=DEADLINE_S,
    probe=probe,
    judge=judge,
)
