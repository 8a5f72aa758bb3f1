"""The baseline holds an error rate that rests on enough requests."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.baseline.recorded import probe
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

MIN_REQUESTS = 100
LIMIT = 0.01


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """At least 100 requests; with 1 % errors or more nothing normal may be built on it."""
    facts = facts_of(readings)
    requests, errors, span_s = facts["requests"], facts["errors"], facts["span_s"]
    subject = f"generation {facts['generation']}"
    if requests < MIN_REQUESTS:
        return Ruling(
            Answer.UNKNOWN,
            subject,
            f"{requests} requests in {span_s:.0f} s; at least {MIN_REQUESTS} are needed to tell a rate",
            "raise thresholds.baseline_sample_s, or send synthetic calls while it is measured",
        )
    said = f"{errors} errors in {requests} requests over {span_s:.0f} s: {errors / requests:.2%}"
    if errors / requests >= LIMIT:
        return Ruling(Answer.FAIL, subject, f"{said}; expected below {LIMIT:.0%}", "mend production first")
    return Ruling(Answer.PASS, subject, said)


CHECK = Check(
    id="baseline.error-rate",
    boxes=("baseline.error-rate",),
    needs=frozenset({"baseline"}),
    deadline_s=120.0,
    probe=probe,
    judge=judge,
)
