"""Every unit test passes, and some were really executed."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.build.unit_tests import DEADLINE_S, JUNIT, counts_of, reading_of, run_unit_tests
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

_EXIT = b"\nexit "
MAX_NAMED = 3


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The run that all checks of this command share."""
    return (await ctx.once(run_unit_tests)).readings()


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """The report is of this run, counts executed tests, and none failed."""
    command = ctx.settings.commands.unit_tests[0]
    junit = reading_of(readings, JUNIT)
    exit_code = int(readings[0].body.split(_EXIT, 1)[1].split(b" ", 1)[0])
    if junit is None:
        return Ruling(
            Answer.UNKNOWN,
            command,
            f"the command ended with exit code {exit_code} and wrote no JUnit report",
            "write JUnit XML to {junit}, as in --junitxml={junit}, in commands.unit_tests",
        )
    counts = counts_of(junit)
    broken = counts.failures + counts.errors
    said = f"{counts.executed} executed, {broken} failed, {counts.skipped} skipped"
    if broken:
        names = ", ".join(counts.broken[:MAX_NAMED])
        return Ruling(
            Answer.FAIL, counts.broken[0], f"{said}; expected 0 failed: {names}", "mend the named tests"
        )
    if counts.executed == 0:
        return Ruling(
            Answer.FAIL,
            command,
            f"{said}; expected at least 1 executed",
            "let commands.unit_tests find the tests",
        )
    if exit_code != 0:
        return Ruling(
            Answer.FAIL,
            command,
            f"{said}, but the command ended with exit code {exit_code}; expected 0",
            "run the command by hand and read its last lines",
        )
    return Ruling(Answer.PASS, command, said)


CHECK = Check(
    id="build.unit-tests-pass",
    boxes=("build.unit-tests-pass",),
    needs=frozenset({"command:unit-tests"}),
    deadline_s=DEADLINE_S + 10.0,
    valid_s=86_400.0,
    probe=probe,
    judge=judge,
)
