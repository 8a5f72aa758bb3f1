"""``python -m benchmarks.channels``: measure TCP and WebSocket in turn, several times, and print the tables.

Ends with 1 if a target failed or missed the least of a goal. The targets were stated before there were
results: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.channels.measuring import DEPTH, measure
from benchmarks.channels.targets import GOALS, TARGETS, ChannelTarget
from benchmarks.http.measuring import Sample
from benchmarks.http.report import medians, ratios, tables
from benchmarks.http.serving import ROOT
from benchmarks.http.turns import take_turns

_OUT: Final = ROOT / "build" / "benchmarks" / "channels.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 if every goal was met."""
    asked = _arguments(arguments)
    chosen = [t for t in TARGETS if not asked.only or any(word in t.name for word in asked.only)]

    def take(target: ChannelTarget) -> Sample:
        return measure(target, duration_s=asked.secs, warm_up_s=asked.warm_up, depth=asked.depth)

    samples, failed = take_turns(chosen, take, asked.repetitions, asked.out)
    found = medians(samples)
    judged = ratios(found, GOALS)
    print(tables(found, judged, failed))
    return 1 if failed or not all(ratio.met for ratio in judged) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.channels", description=__doc__)
    parser.add_argument("--only", nargs="*", help="words; a target is measured if its name has one of them")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--secs", type=float, default=5, help="length of one load")
    parser.add_argument("--warm-up", type=float, default=2, help="length of the load that is not counted")
    parser.add_argument("--depth", type=int, default=DEPTH, help="calls that each connection keeps under way")
    parser.add_argument("--out", type=Path, default=_OUT, help="where every sample is kept as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
