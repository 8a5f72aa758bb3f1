"""``explain``: what an id means: a requirement, an error, a finding or a piece of evidence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from gonogo.acts.desk import Desk
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checks.registry import load_checks
from gonogo.model.codec import from_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Finding
from gonogo.model.requirement import Requirement

PAGES = "error_pages"


@dataclass(frozen=True, slots=True)
class RequirementFacts:
    """A requirement, whether a check exists, and what was last found for any release.

    Attributes:
        check_file: module that holds the check, or empty.
        finding: the newest one, with the release it was made for.
    """

    requirement: Requirement
    children: tuple[str, ...]
    check_file: str
    finding: Finding | None
    release: str


@dataclass(frozen=True, slots=True)
class EvidenceFacts:
    """A piece of evidence and its bytes, verified against their digest."""

    evidence: Evidence
    body: bytes


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """The documentation of one error id, in Markdown."""

    error_id: str
    text: str


Explained = RequirementFacts | EvidenceFacts | ErrorPage


def explain(desk: Desk | None, subject: str) -> Explained:
    """What ``subject`` means.

    Args:
        desk: None where there is no record; then only requirements and errors can be explained.

    Raises:
        GonogoError: explain.unknown-id naming the nearest known ones, journal.evidence-altered.
    """
    if subject.startswith("ev-"):
        return _evidence(desk, subject)
    finding, release = _finding(desk, subject)
    name = finding.check_id if finding and subject.startswith("fi-") else subject
    if name in CATALOGUE.by_id:
        return _requirement(name, finding, release)
    page = error_page(subject)
    if page is not None:
        return page
    raise _unknown(subject, [*CATALOGUE.by_id, *error_ids()])


def error_page(error_id: str) -> ErrorPage | None:
    """The page of an error id, or None if there is none."""
    place = _pages() / f"{error_id}.md"
    if "/" in error_id or not place.is_file():
        return None
    return ErrorPage(error_id, place.read_text("utf-8"))


def error_ids() -> tuple[str, ...]:
    """Every error id that has a page."""
    names = (page.name for page in _pages().iterdir())
    return tuple(
        sorted(name.removesuffix(".md") for name in names if name.endswith(".md") and name != "README.md")
    )


def _pages() -> Traversable:
    """The pages as installed with the program, or those of the repository it runs from."""
    installed = resources.files("gonogo") / PAGES
    return installed if installed.is_dir() else Path(__file__).resolve().parents[4] / "docs" / "errors"


def _requirement(name: str, finding: Finding | None, release: str) -> RequirementFacts:
    requirement = CATALOGUE.get(name)
    check = next((check for check in load_checks().values() if name in check.boxes), None)
    judge = check and (check.judge or check.derive)
    return RequirementFacts(
        requirement=requirement,
        children=tuple(child.id for child in CATALOGUE.children(name)),
        check_file=judge.__module__ if judge else "",
        finding=finding,
        release=release,
    )


def _finding(desk: Desk | None, subject: str) -> tuple[Finding | None, str]:
    """The newest finding with this id or for this requirement."""
    newest: tuple[Finding | None, str] = (None, "")
    if desk is None:
        return newest
    for entry in desk.journal.entries(kinds=frozenset({EntryKind.FINDING})):
        if subject in (entry.body.get("id"), entry.body.get("check_id")):
            newest = from_json(Finding, entry.body), entry.release
    return newest


def _evidence(desk: Desk | None, subject: str) -> EvidenceFacts:
    known: list[str] = []
    if desk is not None:
        found: Evidence | None = None
        for entry in desk.journal.entries(kinds=frozenset({EntryKind.EVIDENCE})):
            known.append(str(entry.body.get("id")))
            if entry.body.get("id") == subject:
                found = from_json(Evidence, entry.body)
        if found is not None:
            return EvidenceFacts(found, desk.evidence.get(found.digest))
    raise _unknown(subject, known)


def _unknown(subject: str, known: Iterable[str]) -> GonogoError:
    near = difflib.get_close_matches(subject, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return GonogoError(
        "explain.unknown-id",
        f"nothing is known by this id, got {subject!r}; expected a requirement, an error, fi-... or ev-...",
        hint=f"nearest: {', '.join(near)}" if near else "gonogo check shows the ids there are",
    )
