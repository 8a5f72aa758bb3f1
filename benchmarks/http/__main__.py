"""``python -m benchmarks.http``: measure every target in turn, several times, and print the tables.

Targets are interleaved, so that whatever else the machine does falls on all of them. Ends with 1 if a target
failed or missed the least of a goal. The targets were stated before there were results: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.http.load import LoadError
from benchmarks.http.measuring import Sample, measure
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.report import medians, ratios, tables
from benchmarks.http.serving import ROOT, StartError
from benchmarks.http.targets import TARGETS, Target

_OUT: Final = ROOT / "build" / "benchmarks" / "http.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 if every goal was met."""
    asked = _arguments(arguments)
    chosen = [t for t in TARGETS if not asked.only or any(word in t.name for word in asked.only)]
    samples: dict[str, list[Sample]] = {target.name: [] for target in chosen}
    failed: dict[str, str] = {}
    for repetition in range(1, asked.repetitions + 1):
        for target in chosen:
            _measure(target, asked, samples, failed, repetition)
        _keep(samples, asked.out)
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


def _measure(
    target: Target,
    asked: argparse.Namespace,
    samples: dict[str, list[Sample]],
    failed: dict[str, str],
    repetition: int,
) -> None:
    try:
        sample = measure(target, duration_s=asked.secs, warm_up_s=asked.warm_up, tail=asked.tail)
    except (WrongAnswerError, StartError, LoadError) as fault:
        failed[target.name] = " ".join(str(fault).split())
        print(f"{repetition} {target.name}: failed: {fault}", file=sys.stderr, flush=True)
        return
    samples[target.name].append(sample)
    words = f"{sample.rate_per_s:,.0f}/s, {sample.cpu_us:.1f} µs of CPU, noise {sample.noise:.0%}"
    print(f"{repetition} {target.name}: {words}", file=sys.stderr, flush=True)


def _keep(samples: dict[str, list[Sample]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: [asdict(sample) for sample in found] for name, found in samples.items()}
    out.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
