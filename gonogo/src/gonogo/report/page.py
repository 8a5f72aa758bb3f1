"""The HTML report of one release: one file, no script, readable on a phone and on paper.

Everything on it is computed from the board and the record; the templates only lay it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gonogo import __version__
from gonogo.config.schema import NotApplicable
from gonogo.model.entry import Entry
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Answer
from gonogo.model.people import Waiver
from gonogo.report.board import Board, Place, Row, Section, counted
from gonogo.report.timeline import DeploymentView

SYMBOLS = {
    "pass": "✓",
    "done": "✓",
    "fail": "✗",
    "failed": "✗",
    "unknown": "?",
    "inconclusive": "?",
    "no-data": "?",
    "warn": "!",
    "rolled-back": "↩",
    "aborted": "↩",
    "running": "…",
    "waiting": "…",
    "not-applicable": "-",
}
_LOUD = frozenset({Answer.FAIL, Answer.UNKNOWN, Answer.WARN})
_ORDER = {Answer.FAIL: 0, Answer.UNKNOWN: 1, Answer.WARN: 2}


@dataclass(frozen=True, slots=True)
class Said:
    """One signed statement.

    Attributes:
        current: whether it holds for the fingerprint on the page and its signature is good.
        why_not: a sentence if it does not hold.
    """

    name: str
    role: str
    check_id: str
    statement: str
    at: datetime
    fingerprint: str
    shown_digest: str
    signature: str
    current: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page. Deployments come newest first."""

    board: Board
    deployments: tuple[DeploymentView, ...]
    statements: tuple[Said, ...]
    waivers: tuple[Waiver, ...]
    not_applicable: Mapping[str, NotApplicable]
    evidence: tuple[Evidence, ...]
    head: Entry
    made_at: datetime

    @property
    def inside(self) -> tuple[Row, ...]:
        """Rows that the gate counts."""
        return tuple(row for row in self.board.rows if row.place is not Place.OUTSIDE)

    @property
    def outside(self) -> tuple[Row, ...]:
        """Rows that the profile leaves out."""
        return tuple(row for row in self.board.rows if row.place is Place.OUTSIDE)

    @property
    def gated(self) -> int:
        """How many requirements count."""
        return len(self.inside)

    @property
    def inside_sections(self) -> tuple[Section, ...]:
        """Rows that count, by section."""
        return self.board.sections(Place.BLOCKING, Place.GATED, Place.WAIVED)

    @property
    def outside_sections(self) -> tuple[Section, ...]:
        """Rows left out, by section."""
        return self.board.sections(Place.OUTSIDE)

    @property
    def verdict_sentence(self) -> str:
        """What led to the verdict, in a sentence."""
        blocking = [row for row in self.board.rows if row.place is Place.BLOCKING]
        if blocking:
            return f"{counted(blocking)} of what the gate demands."
        waived = sum(row.place is Place.WAIVED for row in self.board.rows)
        return f"All {self.gated} demanded requirements hold" + (f", {waived} by waiver." if waived else ".")


def render(page: Page) -> str:
    """The page as one HTML document."""
    environment = Environment(
        loader=PackageLoader("gonogo.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "counted": counted,
        "loud": _loud,
        "quiet": _quiet,
        "unbuilt": _unbuilt,
        "moment": _moment,
        "seconds": _seconds,
        "slug": lambda word: str(word).lower().replace(" ", "-"),
    }
    environment.globals |= {
        "symbols": SYMBOLS,
        "known_evidence": frozenset(item.id for item in page.evidence),
    }
    css = resources.files("gonogo.report").joinpath("templates/report.css").read_text("utf-8")
    template = environment.get_template("report.html")
    return template.render(page=page, board=page.board, css=_trusted(css), version=__version__, svg=_trusted)


def _trusted(text: str) -> Markup:
    """Our own style sheet, or a chart, which escapes every text that it holds."""
    return Markup(text)  # noqa: S704 - nothing else is ever given to this


def _loud(rows: Iterable[Row]) -> list[Row]:
    return sorted(
        (row for row in rows if row.built and row.answer in _LOUD), key=lambda row: _ORDER[row.answer]
    )


def _quiet(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.built and row.answer not in _LOUD]


def _unbuilt(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not row.built]


def _moment(at: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC")


def _seconds(elapsed_s: float) -> str:
    if elapsed_s < 10:
        return f"{elapsed_s:.2f} s"
    if elapsed_s < 120:
        return f"{elapsed_s:.1f} s"
    return f"{round(elapsed_s) // 60} min {round(elapsed_s) % 60} s"
