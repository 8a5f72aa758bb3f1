"""A small line chart as inline SVG: no script, no font, no colour but what the page's style gives it.

It draws what it is given and judges nothing. The text alternative says the range in words, so that the
chart is not the only place where it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 170
LEFT: Final = 58
RIGHT: Final = 12
TOP: Final = 26
BOTTOM: Final = 26


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment worth a vertical line, in seconds from the switch."""

    at_s: float
    label: str
    kind: str = "switch"


@dataclass(frozen=True, slots=True)
class Chart:
    """One series over time.

    Attributes:
        points: seconds from the switch and value; a None value is a gap.
        limit: a horizontal line that the series should stay below, in the same unit.
        scale: what values are multiplied with for display, such as 100 for per cent.
        most: the largest value that makes sense, in displayed units; the axis never goes beyond it.
    """

    title: str
    unit: str
    points: Sequence[tuple[float, float | None]]
    marks: Sequence[Mark] = ()
    limit: float | None = None
    limit_label: str = ""
    scale: float = 1.0
    most: float = math.inf


def draw(chart: Chart) -> str:
    """The chart as an ``<svg>`` element, or an empty string if there is no value to draw."""
    known = [(at_s, value * chart.scale) for at_s, value in chart.points if value is not None]
    if not known:
        return ""
    limit = None if chart.limit is None else chart.limit * chart.scale
    times = [at_s for at_s, _ in known] + [mark.at_s for mark in chart.marks]
    highest = max([value for _, value in known] + [limit or 0.0])
    frame = _Frame(min(times), max(times), min(_ceiling(highest), chart.most))
    parts = [*_axes(frame, chart.unit), *_limit(frame, limit, chart.limit_label)]
    parts += [_mark(frame, mark) for mark in _spread(chart.marks)]
    parts += [f'<polyline class="series" points="{run}"/>' for run in _runs(frame, chart)]
    parts += _lonely_points(frame, chart)
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    title = _text(0, 12, "chart-title", chart.title)
    return f'{head} aria-label="{escape(_in_words(chart, known))}">{title}{"".join(parts)}</svg>'


@dataclass(frozen=True, slots=True)
class _Frame:
    start_s: float
    end_s: float
    top: float

    def x(self, at_s: float) -> float:
        span = (self.end_s - self.start_s) or 1.0
        return LEFT + (WIDTH - LEFT - RIGHT) * (at_s - self.start_s) / span

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, self.top) / self.top


def _axes(frame: _Frame, unit: str) -> list[str]:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = frame.top * share
        y = frame.y(value)
        parts.append(_level("grid", y))
        parts.append(_text(LEFT - 6, y + 3.5, "tick", f"{value:.3g} {unit}", "end"))
    parts += [_text(frame.x(at), HEIGHT - 8, "tick", _moment(at), "middle") for at in _time_ticks(frame)]
    return parts


def _time_ticks(frame: _Frame) -> list[float]:
    span = frame.end_s - frame.start_s
    step = next((s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600) if span / s <= 7), 21_600)
    first = math.ceil(frame.start_s / step)
    return [float(step * n) for n in range(first, math.floor(frame.end_s / step) + 1)][:24]


def _limit(frame: _Frame, limit: float | None, label: str) -> list[str]:
    if limit is None:
        return []
    y = frame.y(limit)
    return [_level("limit", y), _text(WIDTH - RIGHT, y - 4, "limit-label", label, "end")]


def _spread(marks: Sequence[Mark]) -> list[tuple[Mark, int]]:
    """Each mark with a line of its own for the label, so that labels close together do not overlap."""
    return [(mark, index % 3) for index, mark in enumerate(sorted(marks, key=lambda mark: mark.at_s))]


def _mark(frame: _Frame, placed: tuple[Mark, int]) -> str:
    mark, row = placed
    x = frame.x(mark.at_s)
    anchor, offset = ("start", 4) if x < WIDTH * 0.75 else ("end", -4)
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{HEIGHT - BOTTOM}"'
    line = f'<line class="mark {escape(mark.kind)}" {place}/>'
    return line + _text(x + offset, TOP + 6 + 12 * row, f"mark-label {mark.kind}", mark.label, anchor)


def _level(kind: str, y: float) -> str:
    return f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _text(x: float, y: float, kind: str, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{escape(kind)}" {place}>{escape(text)}</text>'


def _runs(frame: _Frame, chart: Chart) -> list[str]:
    """Unbroken stretches of two points and more."""
    runs: list[list[str]] = [[]]
    for at_s, value in chart.points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{frame.x(at_s):.1f},{frame.y(value * chart.scale):.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _lonely_points(frame: _Frame, chart: Chart) -> list[str]:
    values = [value for _, value in chart.points]
    return [
        f'<circle class="point" r="2" cx="{frame.x(at_s):.1f}" cy="{frame.y(value * chart.scale):.1f}"/>'
        for index, (at_s, value) in enumerate(chart.points)
        if value is not None
        and (index == 0 or values[index - 1] is None)
        and (index == len(values) - 1 or values[index + 1] is None)
    ]


def _ceiling(value: float) -> float:
    """The next round number above, so that the axis reads well."""
    if value <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(
        magnitude * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15) if magnitude * step >= value * 1.05
    )


def _moment(at_s: float) -> str:
    if abs(at_s) < 120:
        return f"{at_s:+.0f} s" if at_s else "0"
    return f"{at_s / 60:+.0f} min" if abs(at_s) < 7200 else f"{at_s / 3600:+.1f} h"


def _in_words(chart: Chart, known: Sequence[tuple[float, float]]) -> str:
    values = [value for _, value in known]
    words = (
        f"{chart.title}: {len(values)} readings between {min(values):.3g} and {max(values):.3g} {chart.unit}"
    )
    for mark in chart.marks:
        words += f"; {mark.label} at {mark.at_s:+.1f} s"
    return words
