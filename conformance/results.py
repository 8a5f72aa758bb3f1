"""Reads what a leg has left and judges it. Pure but for reading the files.

Full marks: every scenario of the leg is there, each has proven something of its own, nothing failed, and
what was skipped or warned about is allowed by name. Checks of the message schema alone prove nothing: they
succeed on silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conformance.legs import Allowance, Leg

SUCCEEDS_ON_SILENCE: Final = frozenset({"wire-schema-valid"})
_RUN: Final = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d{2}-\d{2}T[-\dZ]+")
_SCORED: Final = ("SUCCESS", "FAILURE", "WARNING")


@dataclass(frozen=True)
class Check:
    """One thing that a scenario looked at."""

    scenario: str
    id: str
    status: str
    message: str

    @property
    def name(self) -> str:
        """The name that people look it up by."""
        return f"{self.scenario}:{self.id}"


@dataclass(frozen=True)
class Score:
    """What a leg came to. ``faults`` is empty for full marks."""

    leg: str
    passed: int
    total: int
    scenarios: int
    skipped: int
    faults: tuple[str, ...]

    @property
    def full(self) -> bool:
        """Whether the leg has full marks."""
        return not self.faults


def read_checks(folder: Path) -> list[Check]:
    """Every check that the suite has written below a folder, in the order of scenarios."""
    found: list[Check] = []
    for file in sorted(folder.glob("*/checks.json")):
        matched = _RUN.fullmatch(file.parent.name)
        if matched is not None:
            found += [_check(matched["scenario"], entry) for entry in json.loads(file.read_text())]
    return found


def _check(scenario: str, entry: dict[str, Any]) -> Check:
    return Check(scenario, entry["id"], entry["status"], entry.get("errorMessage") or "")


def judge(leg: Leg, checks: Iterable[Check], allowances: Iterable[Allowance]) -> Score:
    """Score one leg."""
    checks, allowances = list(checks), list(allowances)
    scored: list[Check] = []
    faults: list[str] = []
    faulty: set[str] = set()
    skipped = 0
    for check in checks:
        if check.status in ("SUCCESS", "INFO"):
            scored += [check] if check.status == "SUCCESS" else []
            continue
        skipped += check.status == "SKIPPED"
        if any(a.covers(leg.name, check.scenario, check.id, check.status) for a in allowances):
            continue
        scored += [check] if check.status in _SCORED else []
        faulty.add(check.scenario)
        faults.append(f"{check.status.lower()} {check.name}: {check.message or 'without a message'}")
    names = {check.scenario for check in checks}
    if len(names) != leg.scenarios:
        faults.insert(0, f"ran {len(names)} scenarios of {leg.scenarios}")
    silent = [n for n in sorted(names - faulty) if not _proven(leg.name, n, checks, allowances)]
    faults += [f"nothing proven by {name}" for name in silent]
    passed = sum(check.status == "SUCCESS" for check in scored)
    return Score(leg.name, passed, len(scored), len(names), skipped, tuple(faults))


def _proven(leg: str, scenario: str, checks: list[Check], allowances: list[Allowance]) -> bool:
    """Whether a scenario did more than hear no invalid message, or was rightly left out."""
    own = [c for c in checks if c.scenario == scenario and c.id not in SUCCEEDS_ON_SILENCE]
    return any(
        c.status == "SUCCESS" or any(a.covers(leg, scenario, c.id, c.status) for a in allowances) for c in own
    )
