"""Which alert rules the server passes by its own numbers, and since when.

It is the page's own opinion, for somebody who looks at it: Prometheus wakes people, by the same thresholds.
What each rule looks at is ``measures``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from erlmcp.telemetry.history import History
from erlmcp.telemetry.measures import MEASURES, OUTSIDE, Bound, Look, Measured, Rule
from erlmcp.telemetry.reading import Reading

Standing = Literal["firing", "pending", "quiet", "not-measured"]


@dataclass(frozen=True)
class AlertState:
    """How one rule stands with one subject.

    Attributes:
        value: what was measured; None when nothing was.
        since_s: for how long its bounds have been passed.
    """

    rule: Rule
    subject: str
    standing: Standing
    value: float | None = None
    bound: Bound | None = None
    since_s: float = 0.0

    @property
    def is_critical(self) -> bool:
        """Whether it would wake somebody."""
        return self.rule.severity == "critical"


@cache
def rules() -> tuple[Rule, ...]:
    """The shipped alert rules, in their order."""
    text = (files("erlmcp.telemetry") / "thresholds.json").read_bytes()
    return msgspec.json.decode(text, type=tuple[Rule, ...])


class Alerts:
    """The states of all rules that a server can judge of itself."""

    def __init__(self, judged: Sequence[Rule] | None = None) -> None:
        self._rules = [rule for rule in judged or rules() if rule.alert not in OUTSIDE]
        self._passed_at: dict[tuple[str, str, str], float] = {}

    def judge(self, reading: Reading, history: History) -> list[AlertState]:
        """Every rule as of now. Readings must come in the order of their times."""
        look = Look(reading, history)
        found: list[AlertState] = []
        passed_at: dict[tuple[str, str, str], float] = {}
        for rule in self._rules:
            measured = list(MEASURES[rule.alert].read(look, rule))
            if not measured:
                found.append(AlertState(rule, "", "not-measured"))
            for each in measured:
                key = (rule.alert, rule.severity, each.subject)
                if each.is_beyond:
                    passed_at[key] = self._passed_at.get(key, reading.at)
                found.append(_state(rule, each, reading.at, passed_at.get(key)))
        self._passed_at = passed_at
        return found


def _state(rule: Rule, measured: Measured, now: float, passed_at: float | None) -> AlertState:
    value, bound = measured.pairs[0]
    if passed_at is None:
        return AlertState(rule, measured.subject, "quiet", value, bound)
    since_s = max(0.0, now - passed_at)
    standing: Standing = "firing" if since_s >= rule.for_s else "pending"
    return AlertState(rule, measured.subject, standing, value, bound, since_s)
