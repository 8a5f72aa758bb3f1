"""Lists are whole: every page, no duplicate, and what was just created is in it once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gonogo.adapters.mcp import McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.journeys.declared import created, text_of, unwalked, walked
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """List, create, list again; in each era."""
    return await walked(ctx, partial(_walk, ctx), "create", "remove", "resource")


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """No duplicates, nothing lost, the new one once."""
    facts = facts_of(readings)
    silent = unwalked(facts, "no list can be seen to change")
    if silent:
        return silent
    where = ctx.settings.journeys.listed_in or "resources/list"
    for era, seen in facts.items():
        twice = len(seen["after"]) - len(set(seen["after"]))
        lost = sorted(set(seen["before"]) - set(seen["after"]))
        if twice or lost:
            return Ruling(
                Answer.FAIL,
                "resources/list",
                f"{era} era: {twice} duplicates, {len(lost)} lost; expected 0",
                None,
            )
        if seen["mentions"] != 1:
            return Ruling(
                Answer.FAIL,
                where,
                f"{era} era: {where} names the new resource {seen['mentions']} times; expected once",
                "if created resources are listed elsewhere, declare journeys.listed_in",
            )
    count = min(len(seen["after"]) for seen in facts.values())
    return Ruling(
        Answer.PASS, "both eras", f"{count} listed without duplicate or gap; the new one once in {where}"
    )


async def _walk(ctx: CheckContext, client: McpClient) -> dict[str, Any]:
    before = await _listed(client)
    async with created(ctx, client) as resource:
        after = await _listed(client)
        mentions = await _mentions(ctx, client, resource.uri, str(resource.values["name"]), after)
    return {"uri": resource.uri, "before": before, "after": after, "mentions": mentions}


async def _listed(client: McpClient) -> list[str]:
    pages = await client.list_all("resources/list", "resources")
    return [str(resource.get("uri")) for page in pages for resource in page]


async def _mentions(ctx: CheckContext, client: McpClient, uri: str, name: str, listed: list[str]) -> int:
    where = ctx.settings.journeys.listed_in
    if not where:
        return listed.count(uri)
    exchange = await client.read_resource(where)
    return text_of(exchange).count(name)


CHECK = Check(
    id="journeys.list-resources",
    boxes=("journeys.list-resources",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    probe=probe,
    judge=judge,
)
