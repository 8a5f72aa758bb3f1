"""Numbers as people read them, and curves of them. Knows nothing of servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from erlmcp.admin.dashboard.html import Html, el

WIDTH: Final = 120
HEIGHT: Final = 32
_EDGE: Final = 2
NONE: Final = "-"
"""There is nothing to say a number about."""


def count(value: float) -> str:
    """1,204."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Three digits that matter."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value else "0"


def share(value: float | None) -> str:
    """3.2 %."""
    if value is None:
        return NONE
    percent = value * 100
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 1 else 2
    return f"{percent:.{digits}f} %"


def duration(seconds: float | None) -> str:
    """Of a request: 850 µs, 12 ms, 3.4 s."""
    if seconds is None:
        return NONE
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 0.001:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs" if seconds else "0 ms"


def span(seconds: float) -> str:
    """Of waiting: 40 s, 5 min, 3 h 12 min, 2 d 4 h."""
    whole = int(seconds)
    for unit, size, below, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes and rest else f"{minutes} min" if minutes else f"{rest} s"


def size(value: float) -> str:
    """1.2 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:,.3g} TiB"


def curve(label: str, *lines: Sequence[float | None]) -> Html:
    """Curves over the same time, each to the highest of all. A gap stands where there is no value.

    Args:
        label: what it shows, for those who cannot see it.
        lines: values at even intervals, the oldest first.
    """
    highest = max((value for line in lines for value in line if value is not None), default=0.0)
    drawn = [
        el("polyline", class_=f"line{number}", points=points)
        for number, line in enumerate(lines)
        for points in _runs(line, highest)
    ]
    return el(
        "svg",
        drawn,
        class_="curve",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def bar(value: float | None, mark: str = "") -> Html:
    """How full something is. The number stands beside it as text, so it is silent; ``mark`` is its class."""
    width = f"{100 * min(max(value or 0.0, 0.0), 1.0):.1f}"
    return el(
        "svg",
        el("rect", class_="track", width="100", height="6"),
        el("rect", class_="fill", width=width, height="6"),
        class_=f"bar {mark}".strip(),
        viewBox="0 0 100 6",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _runs(line: Sequence[float | None], highest: float) -> list[str]:
    """The points of each unbroken run."""
    runs: list[list[str]] = [[]]
    step = WIDTH / max(len(line) - 1, 1)
    for position, value in enumerate(line):
        if value is None:
            runs.append([])
            continue
        y = HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * (value / highest if highest else 0.0)
        runs[-1].append(f"{position * step:.1f},{y:.1f}")
    return [" ".join(run if len(run) > 1 else [run[0], run[0]]) for run in runs if run]
