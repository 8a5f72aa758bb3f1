"""What a user creates can be read back as it was made, and is gone after it was removed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gonogo.adapters.mcp import McpClient, McpError
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.journeys.declared import call, created, filled, text_of, unwalked, walked
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Create, read, remove, read again; in each era."""
    return await walked(ctx, partial(_walk, ctx), "create", "remove", "resource", "resource_holds")


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Equal and gone, in each era."""
    facts = facts_of(readings)
    silent = unwalked(facts, "nothing can be created and removed")
    if silent:
        return silent
    for era, seen in facts.items():
        if seen["held"] != 1:
            return Ruling(
                Answer.FAIL,
                seen["uri"],
                f"{era} era: read back, it holds the created text {seen['held']} times; expected once",
                "see the conversation in the evidence",
            )
        if not seen["gone"]:
            return Ruling(Answer.FAIL, seen["uri"], f"{era} era: still readable after it was removed", None)
    return Ruling(Answer.PASS, "both eras", "created, read back as made, removed; in both eras")


async def _walk(ctx: CheckContext, client: McpClient) -> dict[str, Any]:
    journeys = ctx.settings.journeys
    assert journeys.remove is not None
    async with created(ctx, client) as resource:
        wanted = str(filled(journeys.resource_holds, resource.values))
        text = text_of(await client.read_resource(resource.uri))
        await call(client, journeys.remove, resource.values)
    try:
        await client.read_resource(resource.uri)
        gone = False
    except McpError as error:
        if error.code is None:
            raise
        gone = True
    return {"uri": resource.uri, "held": text.count(wanted), "gone": gone}


CHECK = Check(
    id="journeys.create-resource",
    boxes=("journeys.create-resource",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    probe=probe,
    judge=judge,
)
