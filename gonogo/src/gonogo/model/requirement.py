"""A requirement: one tick-box of the checklist as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a requirement is answered."""

    STATIC = "auto-static"
    PROBE = "auto-probe"
    EXERCISE = "auto-exercise"
    DERIVED = "auto-derived"
    ASSISTED = "assisted"
    ATTEST = "attest"


class Severity(StrEnum):
    """What a failure means for the gate."""

    BLOCKER = "blocker"
    REQUIRED = "required"
    ADVISORY = "advisory"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of the checklist.

    Attributes:
        number: position in the document, 1 to 366.
        box: place in the document, such as ``1.2/02`` (section 1.2, second box) or ``S/01``.
        id: the slug that findings and checks use, such as ``config.log-level-info``.
        applies_when: ``always`` or the declared condition in words.
    """

    number: int
    box: str
    id: str
    title: str
    kind: Kind
    method: str
    evidence: str
    pass_when: str
    severity: Severity
    applies_when: str

    @property
    def phase(self) -> str:
        """The document's phase: ``1`` to ``6``, or ``S`` for the final sign-off."""
        return self.box.split(".", 1)[0].split("/", 1)[0]

    @property
    def section(self) -> str:
        """The document's section, such as ``1.2``."""
        return self.box.split("/", 1)[0]
