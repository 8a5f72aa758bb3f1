"""The legs of a run: which release of the suite, which scenarios, at which wire, and what full marks mean.

The releases are pinned, so the number of scenarios of a leg is a fact: a run with fewer is no full run. What
a leg may skip or warn about is written here with its reason, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

NEXT: Final = "0.2.0-alpha.12"
STABLE: Final = "0.1.16"
SCENARIO_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True)
class Leg:
    """One command of the suite; ``scenarios`` is how many results it must leave."""

    name: str
    release: str
    arguments: tuple[str, ...]
    scenarios: int


_TIMEOUT: Final = ("--timeout", str(SCENARIO_TIMEOUT_MS))
_ALL: Final = ("--suite", "all")

LEGS: Final = (
    Leg("req-2026-07-28", NEXT, ("--requirements", "2026-07-28", *_TIMEOUT), 50),
    Leg("req-2025-11-25", NEXT, ("--requirements", "2025-11-25", *_TIMEOUT), 33),
    Leg("2025-06-18", NEXT, (*_ALL, "--spec-version", "2025-06-18", *_TIMEOUT), 27),
    Leg("2025-11-25", NEXT, (*_ALL, "--spec-version", "2025-11-25", *_TIMEOUT), 33),
    Leg("2026-07-28", NEXT, (*_ALL, "--spec-version", "2026-07-28", *_TIMEOUT), 40),
    Leg("all", NEXT, (*_ALL, *_TIMEOUT), 65),
    Leg("stable", STABLE, _ALL, 32),
)


@dataclass(frozen=True)
class Allowance:
    """A status short of success that does not cost a leg its full marks, and why."""

    leg: str
    scenario: str
    check: str
    status: str
    reason: str

    def covers(self, leg: str, scenario: str, check: str, status: str) -> bool:
        """Whether it is about this check; leg, scenario and check are patterns."""
        return (
            self.status == status
            and fnmatchcase(leg, self.leg)
            and fnmatchcase(scenario, self.scenario)
            and fnmatchcase(check, self.check)
        )


ALLOWANCES: Final = (
    Allowance(
        "*",
        "tasks-status-notifications",
        "tasks-status-notifications",
        "SKIPPED",
        "the suite has no body for this scenario yet and skips it for every server",
    ),
    Allowance(
        "all",
        "sep-2640-skills-*",
        "*",
        "SKIPPED",
        "the skills extension is not part of the protocol and not declared",
    ),
    Allowance(
        "stable",
        "server-sse-polling",
        "server-sse-*",
        "WARNING",
        "that release speaks 2025-06-18 here, and priming events begin with 2025-11-25",
    ),
)

FASTMCP_ALLOWANCES: Final = (
    *ALLOWANCES,
    Allowance(
        "*",
        "server-stateless",
        "*",
        "SKIPPED",
        "FastMCP does not announce changes of its lists, so there is nothing to listen for",
    ),
    Allowance("*", "resources-*subscribe", "resources-*subscribe", "FAILURE", "FastMCP does not offer it"),
)
