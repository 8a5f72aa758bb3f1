"""Which requirements a gate demands: a named subset with its reason, or all of them.

What lies outside is shown beside every verdict, never hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gonogo.checklist.catalogue import CATALOGUE, Catalogue
from gonogo.config.schema import Profile
from gonogo.model.errors import GonogoError

FULL = "full"


@dataclass(frozen=True, slots=True)
class GateProfile:
    """The requirement ids that a gate demands, under a name that verdicts carry."""

    name: str
    reason: str
    checks: frozenset[str]


def gate_profile(
    name: str, profiles: Mapping[str, Profile], *, catalogue: Catalogue = CATALOGUE
) -> GateProfile:
    """The profile called ``name``; ``full`` is always there and means every requirement.

    Raises:
        GonogoError: ``checklist.unknown-profile`` naming the known ones, ``checklist.unknown-pattern``.
    """
    if name == FULL:
        everything = frozenset(requirement.id for requirement in catalogue.all)
        return GateProfile(FULL, "every requirement of the checklist", everything)
    declared = profiles.get(name)
    if declared is None:
        raise GonogoError(
            "checklist.unknown-profile",
            f"there is no such profile, got {name!r}; expected one of {', '.join([FULL, *sorted(profiles)])}",
            hint=f"add [profiles.{name}] to gonogo.toml, or name another one in the environment",
        )
    chosen = catalogue.select(declared.checks)
    return GateProfile(name, declared.reason, frozenset(requirement.id for requirement in chosen))
