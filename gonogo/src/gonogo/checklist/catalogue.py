"""The 366 requirements, read once from ``requirements.tsv`` and refused if anything about them is odd.

A roll-up's children are the rows that follow it in its section, up to the next roll-up. Rows of kind
auto-derived that compute something from records instead of rolling up are leaves; they are listed in
``COMPUTED`` because the table does not tell them apart.
"""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from io import StringIO
from types import MappingProxyType

from gonogo.model.errors import GonogoError
from gonogo.model.requirement import Kind, Requirement, Severity

SIZE = 366
COLUMNS = (
    "n",
    "seed_ref",
    "id",
    "title",
    "kind",
    "method",
    "evidence",
    "pass_when",
    "severity",
    "applies_when",
)

COMPUTED = frozenset(
    {
        "alerts.lead-time-thresholds",
        "people.backup-can-lead",
        "escalation.channels-tested",
        "runbooks.alerts-understood",
        "runbooks.rollback-practised",
        "procedure.rollback-tested",
        "changelog.performance-impact",
        "drill.response-time",
        "comms.maintenance-window",
        "baseline.stored",
        "approval.documented",
        "post.escalation-tested",
        "log.what",
        "log.when",
        "log.who",
        "log.metrics-comparison",
        "critical.response-under-minute",
        "critical.escalated-immediately",
    }
)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Requirements in document order, and who rolls up whom."""

    all: tuple[Requirement, ...]
    by_id: Mapping[str, Requirement]
    children_by_id: Mapping[str, tuple[Requirement, ...]]

    def get(self, requirement_id: str) -> Requirement:
        """One requirement.

        Raises:
            GonogoError: ``checklist.unknown-requirement`` naming the nearest ones.
        """
        found = self.by_id.get(requirement_id)
        if found is None:
            raise GonogoError(
                "checklist.unknown-requirement",
                f"there is no such requirement, got {requirement_id!r}",
                hint=self._nearest(requirement_id),
            )
        return found

    def select(self, patterns: Iterable[str]) -> tuple[Requirement, ...]:
        """Requirements that match any of the patterns (``*`` stands for anything), in document order.

        Raises:
            GonogoError: ``checklist.unknown-pattern`` if one of them matches nothing.
        """
        chosen: set[str] = set()
        for pattern in patterns:
            matched = {known for known in self.by_id if fnmatchcase(known, pattern)}
            if not matched:
                raise GonogoError(
                    "checklist.unknown-pattern",
                    f"the pattern matches no requirement, got {pattern!r}",
                    hint=self._nearest(pattern),
                )
            chosen |= matched
        return tuple(requirement for requirement in self.all if requirement.id in chosen)

    def children(self, requirement_id: str) -> tuple[Requirement, ...]:
        """What a roll-up rolls up, in document order; nothing for every other row."""
        return self.children_by_id.get(self.get(requirement_id).id, ())

    def _nearest(self, wanted: str) -> str:
        plain = wanted.replace("*", "")
        near = difflib.get_close_matches(plain, self.by_id, n=3, cutoff=0.5)
        groups = sorted({known.split(".", 1)[0] for known in self.by_id})
        near += [f"{group}.*" for group in difflib.get_close_matches(plain.split(".")[0], groups, n=2)]
        return f"nearest: {', '.join(near)}" if near else f"groups are: {', '.join(groups)}"


def read_catalogue(table: str) -> Catalogue:
    """The catalogue in a table of tab-separated values.

    Raises:
        ValueError: the table is not the checklist: its columns, rows, ids or words.
    """
    rows = list(csv.reader(StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ValueError(f"columns must be {COLUMNS}, got {rows[0] if rows else 'none'}")
    requirements = tuple(_requirement(row) for row in rows[1:])
    if [requirement.number for requirement in requirements] != list(range(1, SIZE + 1)):
        raise ValueError(f"rows must be numbered 1 to {SIZE}, got {len(requirements)} rows")
    repeated = [name for name, count in Counter(row.id for row in requirements).items() if count > 1]
    if repeated:
        raise ValueError(f"ids must be unique, got {repeated} more than once")
    by_id = {requirement.id: requirement for requirement in requirements}
    if not by_id.keys() >= COMPUTED:
        raise ValueError(f"computed rows must be in the table, got none of {sorted(COMPUTED - by_id.keys())}")
    return Catalogue(requirements, MappingProxyType(by_id), MappingProxyType(_children_of(requirements)))


def _requirement(row: list[str]) -> Requirement:
    if len(row) != len(COLUMNS) or not all(row):
        raise ValueError(f"a row needs {len(COLUMNS)} values, got {row}")
    return Requirement(
        number=int(row[0]),
        box=row[1],
        id=row[2],
        title=row[3],
        kind=Kind(row[4]),
        method=row[5],
        evidence=row[6],
        pass_when=row[7],
        severity=Severity(row[8]),
        applies_when=row[9],
    )


def _children_of(requirements: tuple[Requirement, ...]) -> dict[str, tuple[Requirement, ...]]:
    children: dict[str, tuple[Requirement, ...]] = {}
    parent: Requirement | None = None
    for requirement in requirements:
        if requirement.kind is Kind.DERIVED and requirement.id not in COMPUTED:
            parent = requirement
            children[parent.id] = ()
        elif parent is not None and parent.section == requirement.section:
            children[parent.id] += (requirement,)
        else:
            parent = None
    return children


CATALOGUE = read_catalogue(resources.files(__package__).joinpath("requirements.tsv").read_text("utf-8"))
