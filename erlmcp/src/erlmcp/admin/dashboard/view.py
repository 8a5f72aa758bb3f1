"""What the page is made from: one look at the server, its last minutes, and how the alert rules stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal

from erlmcp.telemetry.alerts import AlertState
from erlmcp.telemetry.history import History, Sample, Window
from erlmcp.telemetry.reading import Reading

NOW_S: Final = 10.0
"""Rates and percentiles that are called those of now are those of the last ten seconds."""

Word = Literal["well", "watch", "draining", "warning", "critical"]


@dataclass(frozen=True)
class Observation:
    """One look at the server."""

    reading: Reading
    health: Mapping[str, Any]
    readiness: Mapping[str, Any]
    environment: str


@dataclass(frozen=True)
class View:
    """What a page shows."""

    observation: Observation
    history: History
    alerts: Sequence[AlertState]
    interval_s: float

    @property
    def reading(self) -> Reading:
        """The numbers."""
        return self.observation.reading

    @cached_property
    def sample(self) -> Sample:
        """The sums of the numbers."""
        return Sample.of(self.reading)

    @cached_property
    def now(self) -> Window:
        """The last seconds."""
        return self.history.window(self.sample, NOW_S)

    @cached_property
    def curves(self) -> list[Window]:
        """The last minutes, second by second."""
        return self.history.windows(NOW_S)

    @property
    def clock(self) -> str:
        """When it was looked."""
        return datetime.fromtimestamp(self.reading.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    def alerts_that(self, *standings: str) -> list[AlertState]:
        """Those that stand so, the critical first."""
        found = [each for each in self.alerts if each.standing in standings]
        return sorted(found, key=lambda each: (not each.is_critical, each.standing != "firing"))


def headline(view: View) -> tuple[Word, str]:
    """Whether all is well, and if not what is not. No number that moves: it is read aloud when it changes."""
    status = view.observation.readiness["status"]
    down = [each for each in view.observation.readiness["components"] if each["status"] != "up"]
    firing, pending = view.alerts_that("firing"), view.alerts_that("pending")
    if status == "draining":
        return "draining", "It takes no new requests; what runs may finish."
    if status != "ready":
        names = ", ".join(_told(each) for each in down)
        return "critical", f"It takes no requests: {names or 'a part is missing'}."
    if firing:
        word: Word = "critical" if firing[0].is_critical else "warning"
        return word, f"{_names(firing)}."
    if down:
        return "warning", f"{', '.join(_told(each) for each in down)}; requests are still taken."
    if pending:
        return "watch", f"No alert yet, but beyond its threshold: {_names(pending)}."
    return "well", "Every part is up and nothing is beyond its threshold."


def _told(component: Mapping[str, Any]) -> str:
    detail = f" ({component['detail']})" if component["detail"] else ""
    return f"{component['name']} is {component['status']}{detail}"


def _names(alerts: Sequence[AlertState]) -> str:
    names = dict.fromkeys(
        f"{each.rule.alert} ({each.subject})" if each.subject else each.rule.alert for each in alerts
    )
    shown = list(names)[:4]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
