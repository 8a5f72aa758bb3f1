"""The baseline holds latency percentiles that make sense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from gonogo.checks.baseline.recorded import probe
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

PERCENTILES = ("p50", "p95", "p99")


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Three finite values in order."""
    facts = facts_of(readings)
    subject = f"generation {facts['generation']}"
    values = {
        name: median(found) for name, found in facts["latency"].items() if found and name in PERCENTILES
    }
    lacking = [name for name in PERCENTILES if name not in values]
    if lacking:
        return Ruling(
            Answer.UNKNOWN,
            subject,
            f"no value for {', '.join(lacking)} in {facts['span_s']:.0f} s; expected three percentiles",
            "measure while the service has traffic",
        )
    p50, p95, p99 = (values[name] for name in PERCENTILES)
    said = ", ".join(f"{name} {values[name] * 1000:.2f} ms" for name in PERCENTILES)
    if not all(map(math.isfinite, values.values())) or not p50 <= p95 <= p99:
        return Ruling(
            Answer.FAIL, subject, f"{said}; expected finite values in order", "see the metrics page"
        )
    return Ruling(Answer.PASS, subject, f"{said}, medians of {len(facts['latency']['p50'])} windows")


CHECK = Check(
    id="baseline.latency",
    boxes=("baseline.latency",),
    needs=frozenset({"baseline"}),
    deadline_s=120.0,
    probe=probe,
    judge=judge,
)
