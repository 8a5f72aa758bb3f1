"""A subscriber hears of a change that somebody else makes, soon, and of nothing once it left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from gonogo.adapters.http import HttpError
from gonogo.adapters.mcp import Era, McpClient, Subscription, Transcript
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.journeys.declared import (
    UNDECLARED,
    Created,
    call,
    candidate,
    created,
    evidence_of,
    undeclared,
    unwalked,
)
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

LIMIT_S = 2.0
SILENCE_S = 0.5
UPDATED = "notifications/resources/updated"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """One client subscribes, another changes the resource; in each era."""
    missing = undeclared(ctx, "create", "change", "remove", "resource")
    transcript = Transcript()
    if missing:
        return evidence_of(transcript, {UNDECLARED: missing})
    facts: dict[str, Any] = {}
    for era in Era:
        async with (
            candidate(ctx, era, transcript) as subscriber,
            candidate(ctx, era, transcript) as changer,
            created(ctx, changer) as resource,
        ):
            is_offered = _offers(subscriber)
            facts[era] = await _walk(ctx, subscriber, changer, resource) if is_offered else None
    return evidence_of(transcript, facts)


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Heard within two seconds, silent after leaving, in each era."""
    facts = facts_of(readings)
    silent = unwalked(facts, "nothing can be changed under a subscription")
    if silent:
        return silent
    offered = {era: seen for era, seen in facts.items() if seen is not None}
    if not offered:
        return Ruling(
            Answer.FAIL,
            "resources",
            "no era declares resources.subscribe; expected at least one",
            "declare it",
        )
    for era, seen in offered.items():
        if seen["delay_s"] is None or seen["delay_s"] > LIMIT_S:
            delay = (
                "no notification"
                if seen["delay_s"] is None
                else f"a notification after {seen['delay_s']:.2f} s"
            )
            return Ruling(
                Answer.FAIL,
                seen["uri"],
                f"{era} era: {delay}; expected one within {LIMIT_S:g} s",
                "see the evidence",
            )
        if not seen["stamped"]:
            return Ruling(
                Answer.FAIL, seen["uri"], f"{era} era: the notification is not stamped with its listen id"
            )
        if seen["after_leaving"]:
            return Ruling(
                Answer.FAIL, seen["uri"], f"{era} era: a notification came after unsubscribing", None
            )
    slowest = max(seen["delay_s"] for seen in offered.values())
    eras = " and ".join(offered)
    missing = [era for era in facts if era not in offered]
    note = f"; the {missing[0]} era offers none" if missing else ""
    return Ruling(Answer.PASS, eras, f"heard of the change within {slowest * 1000:.0f} ms ({eras}){note}")


def _offers(client: McpClient) -> bool:
    """Whether the server declares it in the client's era."""
    resources = client.server.get("capabilities", {}).get("resources")
    return isinstance(resources, dict) and resources.get("subscribe") is True


async def _walk(
    ctx: CheckContext, subscriber: McpClient, changer: McpClient, resource: Created
) -> dict[str, Any]:
    change = ctx.settings.journeys.change
    assert change is not None
    after_leaving = False
    async with subscriber.subscribe((resource.uri,)) as subscription:
        begun = time.monotonic()
        await call(changer, change, resource.values)
        stamped = await _heard(subscription, resource.uri, LIMIT_S + 1.0)
        delay_s = time.monotonic() - begun if stamped is not None else None
        if (
            subscriber.era is Era.HANDSHAKE and stamped is not None
        ):  # a modern stream's end is the unsubscribing
            await subscriber.request("resources/unsubscribe", {"uri": resource.uri})
            await call(changer, change, resource.values)
            after_leaving = await _heard(subscription, resource.uri, SILENCE_S) is not None
    return {"uri": resource.uri, "delay_s": delay_s, "stamped": stamped, "after_leaving": after_leaving}


async def _heard(subscription: Subscription, uri: str, within_s: float) -> bool | None:
    """Whether the notification carries the right listen id; None if none came in time."""
    deadline = time.monotonic() + within_s
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            message = await subscription.next(left_s)
        except HttpError as error:
            if error.error_id == "http.timeout":
                return None
            raise
        params = message.get("params", {})
        if message.get("method") == UPDATED and params.get("uri") == uri:
            stamp = params.get("_meta", {}).get("io.modelcontextprotocol/subscriptionId")
            return subscription.listen_id is None or stamp == subscription.listen_id
    return None


CHECK = Check(
    id="journeys.subscribe",
    boxes=("journeys.subscribe",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    probe=probe,
    judge=judge,
)
