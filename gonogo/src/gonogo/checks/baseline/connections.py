"""The number of open connections before the change is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gonogo.adapters.erlmcp_admin import CONNECTIONS
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

LOOKS = 5
GAP_S = 0.2


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Read the gauge of the active generation several times."""
    values: list[float | None] = []
    generation = None
    for look in range(LOOKS):
        if look:
            await asyncio.sleep(GAP_S)
        metrics = await ctx.production.admin.metrics()
        generation = metrics.active_generation()
        values.append(metrics.sum(CONNECTIONS, generation=generation) if generation else None)
    return [
        json_reading(f"{CONNECTIONS} of the active generation", {"generation": generation, "values": values})
    ]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """A value at every look."""
    facts = facts_of(readings)
    values = [value for value in facts["values"] if value is not None]
    if len(values) < LOOKS:
        return Ruling(
            Answer.UNKNOWN,
            ctx.environment.admin_url,
            f"{len(values)} of {LOOKS} looks gave a connection count; expected all",
            "gonogo status",
        )
    return Ruling(
        Answer.PASS,
        f"generation {facts['generation']}",
        f"{min(values):.0f} to {max(values):.0f} open connections at {LOOKS} looks",
    )


CHECK = Check(
    id="baseline.connections",
    boxes=("baseline.connections",),
    needs=frozenset({"admin"}),
    probe=probe,
    judge=judge,
)
