"""The metrics page parses strictly, has every family that the watch needs, and no counter goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gonogo.adapters.erlmcp_admin import (
    CONNECTIONS,
    CPU,
    DURATION,
    GENERATION_INFO,
    IN_FLIGHT,
    MEMORY,
    REQUESTS,
    Metrics,
)
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

GAP_S = 0.3
REQUIRED = (REQUESTS, DURATION, IN_FLIGHT, CONNECTIONS, MEMORY, CPU, GENERATION_INFO)


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Scrape twice."""
    first = await ctx.production.admin.page("/metrics")
    await asyncio.sleep(GAP_S)
    second = await ctx.production.admin.page("/metrics")
    return [
        Reading(f"GET {answer.url} status {answer.status}", "text/plain", answer.body)
        for answer in (first, second)
    ]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Both pages clean and complete."""
    subject = f"{ctx.environment.admin_url}/metrics"
    hint = "see the metrics page; the families are listed in docs/reference"
    for reading in readings:
        if not reading.source.endswith("status 200"):
            return Ruling(
                Answer.FAIL,
                subject,
                f"the scrape gave {reading.source.rsplit(' ', 1)[1]}; expected 200",
                hint,
            )
    try:
        first, second = (Metrics.parse(reading.body.decode("utf-8")) for reading in readings)
    except (GonogoError, UnicodeDecodeError) as error:
        return Ruling(Answer.FAIL, subject, str(getattr(error, "message", error)), hint)
    missing = [family for family in REQUIRED if family not in second.families]
    if missing:
        return Ruling(
            Answer.FAIL,
            subject,
            f"{len(missing)} families are missing: {', '.join(missing)}; expected all",
            hint,
        )
    fell = _fallen(first, second)
    if fell:
        return Ruling(Answer.FAIL, subject, f"counter {fell} went back between two scrapes", hint)
    if second.active_generation() is None:
        return Ruling(Answer.FAIL, subject, "no single generation is marked active", hint)
    count = sum(len(series) for series in second.families.values())
    return Ruling(
        Answer.PASS, subject, f"{len(second.families)} families, {count} series, parsed strictly twice"
    )


def _fallen(first: Metrics, second: Metrics) -> str | None:
    after = {
        (name, frozenset(labels.items())): value
        for series in second.families.values()
        for name, labels, value in series
    }
    for series in first.families.values():
        for name, labels, value in series:
            is_counter = name.endswith(("_total", "_bucket", "_count"))
            if is_counter and after.get((name, frozenset(labels.items())), 0.0) < value:
                return name
    return None


CHECK = Check(
    id="monitoring.scrape-endpoints",
    boxes=("monitoring.scrape-endpoints",),
    needs=frozenset({"admin"}),
    probe=probe,
    judge=judge,
)
