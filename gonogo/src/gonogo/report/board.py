"""The board: every requirement with its answer for one release, and what the gate made of them.

Pure: it orders and counts what the gate and the catalogue say. It is also the JSON of
``gonogo check --json``, so a saved check can be drawn again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from gonogo.model.errors import GonogoError
from gonogo.model.finding import Answer, Finding
from gonogo.model.release import Release
from gonogo.model.requirement import Kind, Requirement
from gonogo.model.verdict import GateResult, Verdict

FORMAT: Final = "gonogo.check/1"

SECTION_TITLES: Final[Mapping[str, str]] = {
    "1.1": "Code and build",
    "1.2": "Configuration",
    "1.3": "Security",
    "1.4": "Infrastructure",
    "2.1": "Team",
    "2.2": "Documents",
    "2.3": "Training",
    "2.4": "Communication",
    "3.1": "Staging",
    "3.2": "Production before the change",
    "3.3": "Last safety checks",
    "4.2": "Deployment",
    "4.3": "Rollback",
    "5.1": "Watching after the change",
    "5.2": "Detailed validation",
    "5.3": "Documents after the change",
    "5.4": "Handoff",
    "6.1": "First 4 hours",
    "6.2": "First 24 hours",
    "6.3": "First week",
    "S": "Sign-off",
}


class Place(StrEnum):
    """Where a row stands towards the gate."""

    BLOCKING = "blocking"
    GATED = "gated"
    WAIVED = "waived"
    OUTSIDE = "outside"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement and its current answer."""

    id: str
    section: str
    title: str
    kind: Kind
    severity: str
    place: Place
    answer: Answer
    built: bool
    reason: str
    subject: str
    hint: str | None
    evidence: tuple[str, ...]
    measured_at: datetime | None


class Section(msgspec.Struct, frozen=True):
    """The rows of one section of the checklist, in document order."""

    number: str
    title: str
    rows: tuple[Row, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A release as the gate sees it at one moment.

    Attributes:
        configured: False if there was no gonogo.toml and defaults were used.
        elapsed_s: how long the checks ran; None if the board was folded from the record.
        next: the one command to run now.
    """

    service: str
    version: str
    environment: str
    commit: str
    fingerprint: str
    profile: str
    profile_reason: str
    verdict: Verdict
    configured: bool
    checked_at: datetime
    elapsed_s: float | None
    rows: tuple[Row, ...]
    next: str
    format: str = FORMAT

    @property
    def name(self) -> str:
        """``service@version``."""
        return f"{self.service}@{self.version}"

    def sections(self, *places: Place) -> tuple[Section, ...]:
        """Rows at these places (all if none is named), by section, empty sections left out."""
        wanted = set(places or Place)
        grouped: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.place in wanted:
                grouped.setdefault(row.section, []).append(row)
        return tuple(
            Section(number, SECTION_TITLES.get(number, number), tuple(rows))
            for number, rows in grouped.items()
        )


def board_of(
    gate: GateResult,
    requirements: Iterable[Requirement],
    release: Release,
    *,
    built: Collection[str],
    profile_reason: str,
    configured: bool,
    checked_at: datetime,
    elapsed_s: float | None = None,
) -> Board:
    """The board of a judged release: one row for each requirement, in document order.

    Args:
        built: ids of the requirements that this program can answer at all.
    """
    places = {
        **{finding.check_id: (Place.OUTSIDE, finding) for finding in gate.outside},
        **{finding.check_id: (Place.GATED, finding) for finding in gate.findings},
        **{finding.check_id: (Place.WAIVED, finding) for finding in gate.waived},
        **{finding.check_id: (Place.BLOCKING, finding) for finding in gate.blocking},
    }
    rows = tuple(
        _row(requirement, *places[requirement.id], built=requirement.id in built)
        for requirement in requirements
        if requirement.id in places
    )
    return Board(
        service=release.service,
        version=release.version,
        environment=release.environment,
        commit=release.fingerprint.commit,
        fingerprint=gate.fingerprint,
        profile=gate.profile,
        profile_reason=profile_reason,
        verdict=gate.verdict,
        configured=configured,
        checked_at=checked_at,
        elapsed_s=elapsed_s,
        rows=rows,
        next=next_step(rows, gate.verdict, release.version, configured=configured),
    )


def _row(requirement: Requirement, place: Place, finding: Finding, *, built: bool) -> Row:
    return Row(
        id=requirement.id,
        section=requirement.section,
        title=requirement.title,
        kind=requirement.kind,
        severity=requirement.severity.value,
        place=place,
        answer=finding.answer,
        built=built and finding.built,
        reason=finding.reason,
        subject=finding.subject,
        hint=finding.hint,
        evidence=finding.evidence,
        measured_at=finding.measured_at,
    )


def next_step(rows: Iterable[Row], verdict: Verdict, version: str, *, configured: bool) -> str:
    """The one command to run now.

    Failures come first, then what could not be told, then what people attest; sign-offs come last,
    since mending anything else makes them void.
    """
    if not configured:
        return "gonogo init"
    if verdict is Verdict.GO:
        return f"gonogo deploy {version}"
    blocking = [row for row in rows if row.place is Place.BLOCKING]
    if not blocking:
        return "gonogo status"
    first = min(blocking, key=_urgency)
    if first.kind is Kind.ATTEST:
        return f"gonogo sign {first.id} --version {version} --as PERSON --key PATH"
    if first.kind is Kind.ASSISTED and first.answer is not Answer.FAIL:
        return f'gonogo attest {first.id} --version {version} --as PERSON --statement "..." --key PATH'
    return f"gonogo explain {first.id}"


def _urgency(row: Row) -> tuple[int, int, int]:
    person = {Kind.ASSISTED: 1, Kind.ATTEST: 2}.get(row.kind, 0)
    failed = 0 if row.answer is Answer.FAIL else 1
    derived = 1 if row.kind is Kind.DERIVED else 0  # its children say what is wrong
    return (max(failed, person), derived, 0 if row.built else 1)


def counted(rows: Iterable[Row]) -> str:
    """``21 pass, 1 fail, 2 unknown, 5 not built``: every answer that occurs, none hidden."""
    names = Counter("not built" if not row.built else row.answer.value.replace("-", " ") for row in rows)
    order = ("fail", "unknown", "warn", "pass", "not applicable", "not built")
    return ", ".join(f"{names[name]} {name}" for name in order if names[name]) or "nothing"


def document_of(board: Board) -> dict[str, Any]:
    """The board as JSON types."""
    document = msgspec.to_builtins(board)
    assert isinstance(document, dict)
    return {"format": document.pop("format"), **document, "exit_code": board.verdict.exit_code}


def board_from(data: bytes) -> Board:
    """A board that was saved with ``gonogo check --json``.

    Raises:
        GonogoError: report.not-a-check.
    """
    try:
        board = msgspec.json.decode(data, type=Board)
    except msgspec.DecodeError as error:
        raise GonogoError(
            "report.not-a-check",
            f"this is not the output of gonogo check --json: {error}",
            hint="gonogo check --json > check.json",
        ) from None
    if board.format != FORMAT:
        raise GonogoError(
            "report.not-a-check",
            f"the format is {board.format!r}; expected {FORMAT!r}",
            hint="gonogo check --json > check.json",
        )
    return board
