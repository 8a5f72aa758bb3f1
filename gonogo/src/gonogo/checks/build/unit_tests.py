"""The one run of the declared unit test command that several checks read. Not a check."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from gonogo.adapters.command import CommandResult
from gonogo.checks.context import CheckContext
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading

DEADLINE_S = 600.0
MAX_REPORT_BYTES = 16 * 1024 * 1024
JUNIT, COVERAGE = "JUnit report of this run", "coverage report of this run"


@dataclass(frozen=True, slots=True)
class TestRun:
    """How the run ended and the reports it left; a report that it did not write is None."""

    command: CommandResult
    junit: bytes | None
    coverage: bytes | None

    def readings(self) -> list[Reading]:
        """Everything as evidence."""
        found = [self.command.as_reading()]
        if self.junit is not None:
            found.append(Reading(JUNIT, "application/xml", self.junit))
        if self.coverage is not None:
            found.append(Reading(COVERAGE, "application/json", self.coverage))
        return found


@dataclass(frozen=True, slots=True)
class Counts:
    """What a JUnit report says; ``broken`` names tests that failed or had errors."""

    tests: int
    failures: int
    errors: int
    skipped: int
    broken: tuple[str, ...]

    @property
    def executed(self) -> int:
        """Tests that really ran."""
        return self.tests - self.skipped


async def run_unit_tests(ctx: CheckContext) -> TestRun:
    """Run the command with fresh report paths, so that no report of another run can be read.

    Raises:
        CommandError: it could not be started or did not end.
        GonogoError: report.too-large.
    """
    with tempfile.TemporaryDirectory(prefix="gonogo-tests-") as folder:
        junit, coverage = Path(folder) / "junit.xml", Path(folder) / "coverage.json"
        result = await ctx.commands.run(
            ctx.settings.commands.unit_tests,
            placeholders={"junit": str(junit), "coverage": str(coverage)},
            environment={"COVERAGE_FILE": str(Path(folder) / ".coverage")},
            timeout_s=DEADLINE_S,
        )
        return TestRun(result, _report(junit), _report(coverage))


def counts_of(junit: bytes) -> Counts:
    """Counted from the test cases themselves, not from the totals that the report claims.

    Raises:
        GonogoError: report.not-junit.
    """
    try:
        root = ET.fromstring(junit)  # noqa: S314 - written by the declared command; expat bounds entities
    except ET.ParseError as error:
        raise GonogoError("report.not-junit", f"the JUnit report does not parse: {error}") from error
    if root.tag not in {"testsuites", "testsuite"}:
        raise GonogoError("report.not-junit", f"the JUnit report begins with <{root.tag}>")
    tests = failures = errors = skipped = 0
    broken: list[str] = []
    for case in root.iter("testcase"):
        tests += 1
        failed, crashed = case.find("failure") is not None, case.find("error") is not None
        failures += failed
        errors += crashed
        skipped += case.find("skipped") is not None
        if failed or crashed:
            broken.append(f"{case.get('classname', '')}.{case.get('name', '')}".strip("."))
    return Counts(tests, failures, errors, skipped, tuple(broken))


def reading_of(readings: Sequence[Reading], source: str) -> bytes | None:
    """The body of the reading from ``source``, if it is there."""
    return next((reading.body for reading in readings if reading.source == source), None)


def _report(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_REPORT_BYTES:
        raise GonogoError(
            "report.too-large", f"{path.name} has {path.stat().st_size} bytes; expected at most 16 MiB"
        )
    return path.read_bytes()
