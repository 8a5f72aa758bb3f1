"""Lets targets take turns, several times, and keeps every sample. What a target is, is the caller's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from benchmarks.http.load import LoadError
from benchmarks.http.measuring import Sample
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import Startable, StartError

Target = TypeVar("Target", bound=Startable)


def take_turns(
    targets: Sequence[Target], take: Callable[[Target], Sample], repetitions: int, out: Path
) -> tuple[dict[str, list[Sample]], dict[str, str]]:
    """The samples of each target by its name, and why those failed that did.

    Args:
        take: measures one target once.
        repetitions: how many turns each has.
        out: where every sample is kept as JSON, after each round.
    """
    samples: dict[str, list[Sample]] = {target.name: [] for target in targets}
    failed: dict[str, str] = {}
    for repetition in range(1, repetitions + 1):
        for target in targets:
            try:
                sample = take(target)
            except (WrongAnswerError, StartError, LoadError) as fault:
                failed[target.name] = " ".join(str(fault).split())
                print(f"{repetition} {target.name}: failed: {fault}", file=sys.stderr, flush=True)
                continue
            samples[target.name].append(sample)
            words = f"{sample.rate_per_s:,.0f}/s, {sample.cpu_us:.1f} µs of CPU, noise {sample.noise:.0%}"
            print(f"{repetition} {target.name}: {words}", file=sys.stderr, flush=True)
        _keep(samples, out)
    return samples, failed


def _keep(samples: dict[str, list[Sample]], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: [asdict(sample) for sample in found] for name, found in samples.items()}
    out.write_text(json.dumps(kept, indent=1) + "\n")
