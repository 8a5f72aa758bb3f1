"""The recorded baseline as facts, for the checks of its figures. Not a check."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.checks.context import BaselineFacts, CheckContext
from gonogo.checks.readings import json_reading
from gonogo.model.evidence import Reading


async def _current(ctx: CheckContext) -> BaselineFacts:
    assert ctx.baseline is not None
    return await ctx.baseline()


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The release's baseline: the one on record, or a short one that is recorded now."""
    baseline = await ctx.once(_current)
    facts = {
        "generation": baseline.generation,
        "began_at": baseline.began_at.isoformat(),
        "ended_at": baseline.ended_at.isoformat(),
        "span_s": baseline.span_s,
        "requests": baseline.series.requests,
        "errors": baseline.series.errors,
        "latency": {name: list(values) for name, values in baseline.series.latency.items()},
        "memory": list(baseline.series.memory),
    }
    return [json_reading(f"baseline of generation {baseline.generation}", facts)]
