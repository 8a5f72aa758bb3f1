"""``python -m benchmarks.memory``: what sessions and open streams cost a server, and whether it grows.

Ends with 1 if a limit is missed. The limits were stated before there were results: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http.serving import running
from benchmarks.http.targets import OURS_SESSION, SDK_DEFAULT, TARGETS
from benchmarks.memory.crowd import crowded
from benchmarks.memory.footprint import Footprint, of_sessions, of_streams
from benchmarks.memory.growth import growth
from benchmarks.memory.report import Line, table

SESSION_KB: Final = 1.0
STREAM_KB: Final = 15.0
CROWDED_SPEED: Final = 0.9
GROWTH_MB: Final = 2.0
"""What counts as none: the allocator's own ups and downs between two rounds are about as much."""

_FOLDER: Final = Path(__file__).parent
_LONG: Final = _FOLDER / "erlmcp.toml"
_SHORT: Final = _FOLDER / "short_sessions.toml"
_OURS: Final = next(target for target in TARGETS if target.name == OURS_SESSION)
_PEER: Final = next(target for target in TARGETS if target.name == SDK_DEFAULT)


@dataclass(frozen=True)
class Size:
    """How many of each; the peer gets a tenth, because it needs that much longer."""

    sessions: int
    streams: int
    crowd: int
    load_s: int
    calls: int
    left_sessions: int

    @classmethod
    def scaled(cls, share: float) -> Size:
        """The sizes of the stated targets, or a share of them to try things out."""
        full = (10_000, 2_000, 15_000, 6, 1_000_000, 100_000)
        return cls(*(max(1, int(each * share)) for each in full))


def sessions(size: Size) -> list[Line]:
    """What an idle session costs."""
    with running(_OURS, _LONG) as server:
        ours = of_sessions(server, 3 * size.sessions // 10, size.sessions)
    with running(_PEER) as server:
        peer = of_sessions(server, 10, max(1, size.sessions // 10))
    return [_line("idle session, erlmcp", ours, SESSION_KB), _line("idle session, SDK", peer, None)]


def streams(size: Size) -> list[Line]:
    """What an idle connection with an open stream costs."""
    lines = []
    for kind, words in (("get", "GET stream and its session"), ("listen", "subscriptions/listen")):
        with running(_OURS, _LONG) as server:
            ours = of_streams(server, kind, 3 * size.streams // 5, size.streams)
        with running(_PEER) as server:
            peer = of_streams(server, kind, 10, max(1, size.streams // 10))
        lines += [_line(f"{words}, erlmcp", ours, STREAM_KB), _line(f"{words}, SDK", peer, None)]
    return lines


def crowd(size: Size) -> list[Line]:
    """The speed of calls while many streams are open."""
    with running(_OURS, _LONG) as server:
        found = crowded(server, size.crowd, size.load_s)
    details = (
        f"{found.before_us:.1f}, {found.crowded_us:.1f}, {found.after_us:.1f} µs of CPU a call"
        f" before, with them, after; noise {found.noise:.0%}"
    )
    what = f"speed with {size.crowd:,} open streams"
    return [Line(what, details, found.speed, "", CROWDED_SPEED, at_least=True)]


def left_behind(size: Size) -> list[Line]:
    """Whether memory grows."""
    with running(_OURS, _SHORT) as server:
        found = growth(server, size.calls, size.left_sessions)
    rounds = ", ".join(f"{each / 2**20:.1f}" for each in found.sizes)
    what = f"growth over {found.calls:,} calls and {found.sessions:,} sessions left behind"
    return [Line(what, f"{rounds} MB after each round", found.bytes / 2**20, "MB", GROWTH_MB)]


PARTS: Final[Mapping[str, Callable[[Size], list[Line]]]] = {
    "sessions": sessions,
    "streams": streams,
    "crowd": crowd,
    "growth": left_behind,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 if every limit is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="which parts; all if none is named")
    parser.add_argument("--share", type=float, default=1.0, help="of the stated sizes, to try things out")
    asked = parser.parse_args(arguments)
    lines = []
    for name in asked.only or PARTS:
        found = PARTS[name](Size.scaled(asked.share))
        for line in found:
            print(
                f"{line.what}: {line.measured:,.2f} {line.unit} ({line.details})", file=sys.stderr, flush=True
            )
        lines += found
    print(table(lines))
    return 0 if all(line.met for line in lines) else 1


def _line(what: str, found: Footprint, limit_kb: float | None) -> Line:
    details = f"{found.first:,.0f} and {found.second:,.0f} B in two batches, {found.count:,} in all"
    return Line(what, details, found.most / 1024, "KB", limit_kb)


if __name__ == "__main__":
    sys.exit(main())
