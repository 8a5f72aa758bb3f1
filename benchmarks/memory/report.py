"""One line for each thing that was measured, against its limit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """What was measured of one server.

    ``measured`` is the worst of it, ``limit`` the most it may be, or the least if ``at_least``; None for a
    peer, which is measured to compare.
    """

    what: str
    details: str
    measured: float
    unit: str
    limit: float | None
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept; a peer has none."""
        if self.limit is None:
            return True
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def table(lines: Sequence[Line]) -> str:
    """The results as Markdown."""
    rows = [_row(line) for line in lines]
    return "\n".join(["| what | measured | limit | | details |", "|---|---:|---:|---|---|", *rows])


def _row(line: Line) -> str:
    limit, verdict = "", ""
    if line.limit is not None:
        limit = f"{'≥' if line.at_least else '≤'} {line.limit:g} {line.unit}".strip()
        verdict = "met" if line.met else "missed"
    measured = f"{line.measured:,.2f} {line.unit}".strip()
    return f"| {line.what} | {measured} | {limit} | {verdict} | {line.details} |"
