"""A person's decision on a deployment that is held or waiting: an entry, never a prompt in a program.

``decide`` writes it, ``decision_on`` reads the last one. Acting on it is ``watch.live`` and ``deploy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind


class Choice(StrEnum):
    """What a person may decide."""

    ACCEPT = "accept"
    ROLL_BACK = "roll-back"


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's act on a verdict."""

    choice: Choice
    person: str
    reason: str
    at: datetime

    @property
    def sentence(self) -> str:
        """Who decided what and why."""
        verb = "accepted the release" if self.choice is Choice.ACCEPT else "decided to roll back"
        return f"{self.person} {verb}: {self.reason}"


def decide(
    journal: Journal, *, release: str, deployment: str, choice: Choice, person: str, reason: str
) -> None:
    """Record a person's decision on ``deployment``."""
    body = {"deployment": deployment, "choice": choice.value, "reason": reason}
    journal.append(EntryKind.DECISION, body, actor=person, release=release)


def decision_on(journal: Journal, release: str, deployment: str) -> Decision | None:
    """The last decision on ``deployment``, or None."""
    found: Decision | None = None
    for entry in journal.entries(release=release, kinds=frozenset({EntryKind.DECISION})):
        if entry.body.get("deployment") == deployment:
            found = Decision(Choice(entry.body["choice"]), entry.actor, entry.body["reason"], entry.at)
    return found
