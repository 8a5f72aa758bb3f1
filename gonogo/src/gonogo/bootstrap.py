"""The one place that wires clock, configuration, record and adapters, and the only one but ``cli`` that
reads the real clock. It decides nothing and shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gonogo.acts.desk import Desk, default_settings
from gonogo.acts.verification import Verified, verify
from gonogo.adapters.git import Git
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checks.registry import load_checks
from gonogo.config.load import Loaded, environment_named, find, load
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.model.requirement import Kind, Requirement

_NEEDS_PEOPLE = frozenset({Kind.ASSISTED, Kind.ATTEST})


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - the one real clock; everything below is given it


@contextmanager
def desk(folder: Path, *, environment: str | None = None, defaults: bool = False) -> Iterator[Desk]:
    """The desk of the repository around ``folder``; its journal is closed at the end.

    Args:
        defaults: use defaults where there is no gonogo.toml instead of raising config.not-found.

    Raises:
        GonogoError: config errors, journal errors, or git.not-a-repository with ``defaults``.
    """
    loaded = _loaded(folder, defaults=defaults)
    name, section = environment_named(loaded, environment)
    with _journal(loaded) as journal:
        yield Desk(loaded, name, section, journal, EvidenceStore(loaded.state), now)


def verify_record(folder: Path) -> Verified:
    """Verify the record of the repository around ``folder``.

    Raises:
        GonogoError: config errors; journal.not-found if there is nothing to verify.
    """
    loaded = _loaded(folder, defaults=True)
    with Journal.open(loaded.state, clock=now, service=loaded.settings.service.name, create=False) as journal:
        return verify(journal, EvidenceStore(loaded.state))


def machine_checks() -> tuple[Requirement, ...]:
    """Requirements that have a check and need neither a person nor a declared journey, in document order."""
    answered = {box for check in load_checks().values() for box in check.boxes}
    return tuple(
        row
        for row in CATALOGUE.all
        if row.id in answered and row.kind not in _NEEDS_PEOPLE and not row.id.startswith("journeys.")
    )


def _loaded(folder: Path, *, defaults: bool) -> Loaded:
    if defaults and find(folder) is None:
        return default_settings(Git(folder).root())
    return load(folder)


def _journal(loaded: Loaded) -> Journal:
    """Open the journal; its folder tells git to leave it alone, so that it never changes a fingerprint."""
    loaded.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker = loaded.state / ".gitignore"
    if not marker.exists():
        marker.write_text("*\n", "utf-8")
    return Journal.open(loaded.state, clock=now, service=loaded.settings.service.name)
