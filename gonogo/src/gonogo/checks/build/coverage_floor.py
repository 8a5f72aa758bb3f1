"""Line coverage of this very test run meets the floor, with no shipped module left out of it."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from gonogo.checks.build.tree import shipped_python
from gonogo.checks.build.unit_tests import COVERAGE, DEADLINE_S, reading_of, run_unit_tests
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SHIPPED = "shipped modules"
MAX_NAMED = 3


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The run's coverage report, and the list of what is shipped."""
    run = await ctx.once(run_unit_tests)
    files = await asyncio.to_thread(shipped_python, ctx)
    counted = [path for path, text in files if _counts(path, ctx) and _has_statements(text)]
    report = [Reading(COVERAGE, "application/json", run.coverage)] if run.coverage is not None else []
    return [json_reading(SHIPPED, {"counted": counted, "root": str(ctx.repo.resolve())}), *report]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Covered lines over all statements of the shipped modules, none of which is missing."""
    floor = ctx.environment.thresholds.coverage_floor
    body = reading_of(readings, COVERAGE)
    if body is None:
        return Ruling(
            Answer.UNKNOWN,
            "coverage",
            "the unit test command wrote no coverage report",
            "write coverage JSON to {coverage}, as in --cov-report=json:{coverage}, in commands.unit_tests",
        )
    shipped = facts_of(readings, SHIPPED)
    if not shipped["counted"]:
        return Ruling(
            Answer.UNKNOWN,
            "coverage",
            f"no shipped module belongs to release.tests_cover {list(ctx.settings.release.tests_cover)}",
            "name the shipped packages in release.tests_cover",
        )
    files = _files(json.loads(body), Path(shipped["root"]))
    omitted = [path for path in shipped["counted"] if path not in files]
    if omitted:
        return Ruling(
            Answer.FAIL,
            omitted[0],
            f"{len(omitted)} of {len(shipped['counted'])} shipped modules are not in the coverage report; "
            f"expected all: {', '.join(omitted[:MAX_NAMED])}",
            "measure the whole package (--cov=PACKAGE) without omitting files",
        )
    statements = sum(int(files[path]["num_statements"]) for path in shipped["counted"])
    covered = sum(int(files[path]["covered_lines"]) for path in shipped["counted"])
    if statements == 0:
        return Ruling(Answer.UNKNOWN, "coverage", "the coverage report counts no statement")
    said = f"line coverage {covered / statements:.1%} of {statements} statements; {floor:.0%} required"
    if covered / statements < floor:
        worst = min(shipped["counted"], key=lambda path: _ratio(files[path]))
        return Ruling(Answer.FAIL, worst, said, f"test what is not covered, first {worst}")
    return Ruling(Answer.PASS, f"{len(shipped['counted'])} modules", said)


def _counts(path: str, ctx: CheckContext) -> bool:
    packages = ctx.settings.release.tests_cover
    parts = PurePosixPath(path).parts
    return not packages or any(
        path.startswith(package.rstrip("/") + "/") or package in parts[:-1] for package in packages
    )


def _has_statements(text: str) -> bool:
    body = ast.parse(text).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def _files(report: Mapping[str, Any], root: Path) -> dict[str, Mapping[str, Any]]:
    """Summaries by path relative to the repository, as coverage.py writes them."""
    found = {}
    for name, file in report["files"].items():
        path = Path(name)
        relative = path.relative_to(root) if path.is_absolute() and path.is_relative_to(root) else path
        found[relative.as_posix()] = file["summary"]
    return found


def _ratio(summary: Mapping[str, Any]) -> float:
    return float(summary["covered_lines"]) / max(int(summary["num_statements"]), 1)


CHECK = Check(
    id="build.coverage-floor",
    boxes=("build.coverage-floor",),
    needs=frozenset({"command:unit-tests", "git"}),
    deadline_s=DEADLINE_S + 10.0,
    valid_s=86_400.0,
    probe=probe,
    judge=judge,
)
