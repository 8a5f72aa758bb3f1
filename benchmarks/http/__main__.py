"""``python -m benchmarks.http``: measure every target in turn, several times, and print the tables.

Targets are interleaved, so that whatever else the machine does falls on all of them. Ends with 1 if a target
failed or missed the least of a goal. The targets were stated before there were results: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.http.measuring import Sample, measure
from benchmarks.http.report import medians, ratios, tables
from benchmarks.http.serving import ROOT
from benchmarks.http.targets import TARGETS, Target
from benchmarks.http.turns import take_turns

_OUT: Final = ROOT / "build" / "benchmarks" / "http.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 if every goal was met."""
    asked = _arguments(arguments)
    chosen = [t for t in TARGETS if not asked.only or any(word in t.name for word in asked.only)]

    def take(target: Target) -> Sample:
        return measure(target, duration_s=asked.secs, warm_up_s=asked.warm_up, tail=asked.tail)

    samples, failed = take_turns(chosen, take, asked.repetitions, asked.out)
    found = medians(samples)
    judged = ratios(found)
    print(tables(found, judged, failed))
    return 1 if failed or not all(ratio.met for ratio in judged) else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--only", nargs="*", help="words; a target is measured if its name has one of them")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--secs", type=int, default=5, help="length of one load")
    parser.add_argument("--warm-up", type=int, default=2, help="length of the load that is not counted")
    parser.add_argument("--tail", action="store_true", help="measure p99/p50 at 70 %% of the rate as well")
    parser.add_argument("--out", type=Path, default=_OUT, help="where every sample is kept as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
