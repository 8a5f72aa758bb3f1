"""The simulation behind the verdict method: how often each way of judging is wrong, and how fast it is right.

Run ``python benchmarks/verdict`` (under a minute) or with ``--series 2000`` for the figures of the docs. The
seed is fixed. Series are like production's: errors are Bernoulli, latencies log-normal with a coefficient of
variation of 20 % and AR(1) logarithms of lag-1 correlation phi, 60 samples of 15 s against 240 before.
Targets stand beside the results; the program ends with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, mannwhitneyu

from gonogo.analysis.ratio import compare
from gonogo.analysis.sequential import ALPHA, judge_rate, log_e_value
from gonogo.model.watch import Outcome

SEED = 20261123
STEP_S = 15
LOOKS = 60
BASELINE = 240
P0 = 0.01
MARGIN = 1.25

Floats = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    found: str
    target: str
    met: bool


def errors_rows(series: int, generator: Generator) -> Iterator[Row]:
    """The sequential error test."""
    for per_s in (1, 10):
        times = failures(0.01, per_s, series, generator)
        share = len(times) / series
        yield Row(f"errors: exactly 1 %, {per_s}/s: false alarms", percent(share), "<= 0.5 %", share <= ALPHA)
    for rate, per_s, within_s in ((0.05, 1, 180), (0.10, 1, 75), (0.05, 10, 45)):
        times = failures(rate, per_s, series, generator)
        median = float(np.median(times))
        yield Row(
            f"errors: {rate:.0%} at {per_s}/s: median time to FAIL",
            f"{median:.0f} s ({len(times) / series:.1%})",
            f"<= {within_s} s",
            median <= within_s,
        )
    for rate, requests, at_least in ((0.0, 300, 1.0), (0.002, 650, 0.78), (0.005, 1950, 0.78)):
        share = passes(rate, requests, series, generator)
        yield Row(
            f"errors: true {rate:.1%}, {requests} requests: PASS",
            percent(share),
            f">= {at_least:.0%}",
            share >= at_least,
        )
    share = passes(0.002, 990, series, generator)
    yield Row(
        "errors: true 0.2 %, 15 min of 1/s synthetic and .1/s real: PASS",
        percent(share),
        ">= 90 %",
        share >= 0.9,
    )


def ratio_rows(series: int, generator: Generator) -> Iterator[Row]:
    """Latency as a ratio to the baseline."""
    targets = {
        (0.6, 0.0): (Outcome.PASS, 0.78),
        (0.6, 0.5): (Outcome.FAIL, 0.55),
        (0.6, 1.0): (Outcome.FAIL, 0.98),
        (0.0, 0.5): (Outcome.FAIL, 0.98),
    }
    for phi in (0.0, 0.6, 0.9):
        for change in (0.0, 0.5, 1.0):
            before = correlated(series, BASELINE, phi, generator)
            after = correlated(series, LOOKS, phi, generator) * (1 + change)
            found = Counter(
                compare(b.tolist(), a.tolist(), margin=MARGIN).outcome
                for b, a in zip(before, after, strict=True)
            )
            shares = {outcome: found[outcome] / series for outcome in Outcome}
            text = ", ".join(f"{share:.1%} {outcome}" for outcome, share in shares.items() if share)
            wanted, at_least = targets.get((phi, change), (Outcome.FAIL, 0.0))
            met = shares[wanted] >= at_least and not (change == 0 and shares[Outcome.FAIL] > 0.005)
            target = f"{wanted} >= {at_least:.0%}" if at_least else "FAIL <= 0.5 %" if change == 0 else "-"
            yield Row(f"latency: phi {phi:.1f}, {change:+.0%}", text, target, met)


def usual_rows(series: int, generator: Generator) -> Iterator[Row]:
    """The usual ways on the same series, with nothing changed: what they would have rolled back."""
    for phi in (0.0, 0.6, 0.9):
        before = correlated(series, BASELINE, phi, generator)
        after = correlated(series, LOOKS, phi, generator)
        alarms = sum(ranks_alarm(b, a) for b, a in zip(before, after, strict=True))
        share = alarms / series
        yield Row(f"usual: Mann-Whitney p < .05, 15 looks, phi {phi:.1f}", percent(share), "-", True)
    per_minute = generator.binomial(600, P0, size=(series, 15)) / 600 > P0
    runs = per_minute[:, :-2] & per_minute[:, 1:-1] & per_minute[:, 2:]
    share = float(runs.any(axis=1).mean())
    yield Row("usual: above 1 % for 3 minutes, true rate 1 %", percent(share), "-", True)
    counts = totals(P0, 10, series, generator)
    trials = 10 * STEP_S * np.arange(1, LOOKS + 1)
    share = float((binom.sf(counts - 1, trials, P0) < ALPHA).any(axis=1).mean())
    yield Row("usual: binomial test at .5 %, 60 looks", percent(share), "-", True)


def totals(rate: float, per_s: int, series: int, generator: Generator) -> NDArray[np.int64]:
    """Errors so far at each look, one line for each series."""
    counts: NDArray[np.int64] = generator.binomial(per_s * STEP_S, rate, size=(series, LOOKS)).cumsum(axis=1)
    return counts


def failures(rate: float, per_s: int, series: int, generator: Generator) -> list[int]:
    """Seconds to FAIL of each series that fails."""
    per_look = per_s * STEP_S
    known: dict[tuple[int, int], bool] = {}
    found = []
    for line in totals(rate, per_s, series, generator):
        for look, events in enumerate(line.tolist(), 1):
            key = (events, look)
            if key not in known:
                known[key] = log_e_value(events, look * per_look, P0) >= -log(ALPHA)
            if known[key]:
                found.append(look * STEP_S)
                break
    return found


def passes(rate: float, requests: int, series: int, generator: Generator) -> float:
    """Share of series that end with a proof of less than 1 %."""
    counts = Counter(generator.binomial(requests, rate, size=series).tolist())
    good = sum(
        count
        for events, count in counts.items()
        if judge_rate(events, requests, p0=P0, limit=P0, at_end=True).outcome is Outcome.PASS
    )
    return good / series


def correlated(series: int, count: int, phi: float, generator: Generator) -> Floats:
    """Log-normal series with AR(1) logarithms and a coefficient of variation of 20 %."""
    shocks = generator.normal(size=(series, count))
    values = np.empty_like(shocks)
    values[:, 0] = shocks[:, 0]
    for index in range(1, count):
        values[:, index] = phi * values[:, index - 1] + sqrt(1 - phi * phi) * shocks[:, index]
    result: Floats = np.exp(sqrt(log(1 + 0.2 * 0.2)) * values)
    return result


def ranks_alarm(before: Floats, after: Floats) -> bool:
    """True if the rank test is below .05 at one of 15 looks."""
    ends = range(LOOKS // 15, LOOKS + 1, LOOKS // 15)
    return any(mannwhitneyu(after[:end], before, alternative="greater").pvalue < 0.05 for end in ends)


def percent(share: float) -> str:
    """A share as it is printed."""
    return f"{share:.2%}"


def main() -> int:
    """Print the table; 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--series", type=int, default=400, help="simulated series for each line")
    series = parser.parse_args().series
    began = time.monotonic()
    generator = np.random.default_rng(SEED)
    missed = 0
    for rows in (errors_rows, ratio_rows, usual_rows):
        for row in rows(series, generator):
            missed += not row.met
            print(f"{'' if row.met else 'MISSED '}{row.what:<62} {row.found:<44} {row.target}", flush=True)
    print(f"{series} series a line, {time.monotonic() - began:.1f} s, {missed} targets missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
