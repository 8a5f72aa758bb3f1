"""Which failures are validly waived.

A required row takes one waiver by anybody who holds a role. A blocker takes two, by two people: one of the
release manager, one of the operations lead. A waiver has a reason, a start and an end, and counts only
between them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from gonogo.checklist.roles import WAIVES_BLOCKERS
from gonogo.model.people import Role, Waiver
from gonogo.model.requirement import Requirement, Severity


def waived_ids(
    requirements: Sequence[Requirement],
    waivers: Iterable[Waiver],
    *,
    now: datetime,
    roles: Mapping[str, Collection[Role]],
) -> frozenset[str]:
    """Ids of the requirements whose failure is validly waived at ``now``."""
    owners: dict[str, set[str]] = {}
    for waiver in waivers:
        in_force = waiver.starts_at <= now < waiver.ends_at
        if in_force and waiver.reason.strip() and roles.get(waiver.owner):
            owners.setdefault(waiver.check_id, set()).add(waiver.owner)
    return frozenset(
        row.id for row in requirements if row.id in owners and _suffice(row.severity, owners[row.id], roles)
    )


def _suffice(severity: Severity, owners: Collection[str], roles: Mapping[str, Collection[Role]]) -> bool:
    if severity is not Severity.BLOCKER:
        return bool(owners)
    release_manager, operations_lead = WAIVES_BLOCKERS
    return any(
        release_manager in roles[first] and operations_lead in roles[second]
        for first in owners
        for second in owners
        if first != second
    )
