"""What the client counted: calls, failures with reasons, changes. Facts only; ``findings`` judges them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that did not get the right answer.

    Attributes:
        at_s: when the answer, or its absence, was noticed; seconds on the event loop's clock.
        kind: ``refused``, ``closed``, ``cut``, ``framing``, ``timeout``, ``status``, ``rpc-error``,
            ``tool-error`` or ``wrong-answer``.
        answered_by: the release that says of itself, in this very answer, that it answered; "" if none does.
    """

    at_s: float
    era: str
    call: str
    kind: str
    reason: str
    answered_by: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of one client, from its first call on. Only grows."""

    calls: int = 0
    failures: list[Failure] = field(default_factory=list)
    by_era: Counter[str] = field(default_factory=Counter)
    by_release: Counter[str] = field(default_factory=Counter)
    last_answer_s: dict[str, float] = field(default_factory=dict)
    first_answer_s: dict[str, float] = field(default_factory=dict)
    connections: int = 0
    sessions: int = 0
    changes_made: int = 0
    changes_lost: list[int] = field(default_factory=list)
    notifications: int = 0
    streams_opened: int = 0
    streams_ended: int = 0
    streams_cut: list[str] = field(default_factory=list)
    answers: list[tuple[float, float, str]] = field(default_factory=list)

    def answered(self, era: str, release: str, *, sent_s: float, at_s: float) -> None:
        """Count a right answer; ``release`` is "" where the era does not tell who answered."""
        self.calls += 1
        self.by_era[era] += 1
        if release:
            self.by_release[release] += 1
            self.answers.append((sent_s, at_s, release))

    def failed(self, failure: Failure) -> None:
        """Count a failed call."""
        self.calls += 1
        self.by_era[failure.era] += 1
        self.failures.append(failure)

    def failures_between(self, start_s: float, end_s: float) -> list[Failure]:
        """Failures noticed in a span."""
        return [failure for failure in self.failures if start_s <= failure.at_s < end_s]

    def first_sent_and_answered_by(self, release: str, after_s: float) -> float | None:
        """When the first call that was sent after ``after_s`` had its answer from ``release``."""
        return min((at for sent, at, who in self.answers if who == release and sent >= after_s), default=None)
