"""The gate's answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gonogo.model.finding import Finding


class Verdict(StrEnum):
    """GO opens the gate; NO-GO names what failed; HOLD means it could not be told."""

    GO = "GO"
    NO_GO = "NO-GO"
    HOLD = "HOLD"

    @property
    def exit_code(self) -> int:
        """0 for GO, 1 for NO-GO, 3 for HOLD."""
        return {Verdict.GO: 0, Verdict.NO_GO: 1, Verdict.HOLD: 3}[self]


@dataclass(frozen=True, slots=True)
class GateResult:
    """A verdict with everything that led to it.

    Attributes:
        findings: one for each requirement that the profile gates on, in document order, fresh ones only
            (a stale or missing one stands here as unknown).
        blocking: those that keep the gate shut.
        waived: those that would block but for a valid waiver.
        remarks: failed advisory ones and warnings.
        outside: requirements that the profile does not gate on, each with its current finding.
    """

    verdict: Verdict
    profile: str
    fingerprint: str
    findings: tuple[Finding, ...]
    blocking: tuple[Finding, ...]
    waived: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    outside: tuple[Finding, ...]
