"""A finding: what a check answered about one subject. Unknown is never yes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Answer(StrEnum):
    """The five answers; a boolean never stands for one."""

    PASS = "pass"  # noqa: S105 - an answer, not a password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not-applicable"


_BADNESS = {Answer.NOT_APPLICABLE: 0, Answer.PASS: 1, Answer.WARN: 2, Answer.UNKNOWN: 3, Answer.FAIL: 4}


def badness(answer: Answer) -> int:
    """How bad an answer is, for ordering: not-applicable, pass, warn, unknown, fail."""
    return _BADNESS[answer]


def worst(answers: Iterable[Answer]) -> Answer:
    """Roll several answers up into one; no answers at all is unknown, all not-applicable stays so."""
    return max(answers, key=_BADNESS.__getitem__, default=Answer.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's answer on one subject, bound to one fingerprint.

    Attributes:
        id: ``fi-`` and a random part.
        check_id: id of the check, equal to the requirement's id.
        subject: what was looked at: a host, file or person.
        reason: one sentence with what was got and what is expected.
        hint: the one command or sentence that mends it, if not passed.
        evidence: ids of the evidence it rests on.
        fingerprint: digest of the release fingerprint it holds for; other fingerprints make it stale.
        measured_at, valid_until: UTC; after ``valid_until`` it is stale.
        built: False if there is no check for this requirement yet.
    """

    id: str
    check_id: str
    subject: str
    answer: Answer
    reason: str
    hint: str | None
    evidence: tuple[str, ...]
    fingerprint: str
    measured_at: datetime
    valid_until: datetime
    built: bool = True
