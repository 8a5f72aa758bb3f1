"""Tools work in both eras: a known answer is right, a slow call tells its progress, a wrong one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from gonogo.adapters.mcp import McpClient, McpError
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.journeys.declared import call, created, text_of, undeclared, unwalked, walked
from gonogo.checks.readings import facts_of
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SLOW_TIMEOUT_S = 15.0
_MARK = "gonogo-progress"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Walk the journey on the candidate in each era."""
    return await walked(ctx, partial(_walk, ctx), "pure_tool", "invalid_tool")


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Right, progressing, refusing; in each era."""
    facts, journeys = facts_of(readings), ctx.settings.journeys
    silent = unwalked(facts, "no call with a known outcome can be made")
    if silent:
        return silent
    assert journeys.pure_tool is not None
    for era, seen in facts.items():
        fault = _fault(seen, journeys.pure_tool.expect)
        if fault:
            return Ruling(
                Answer.FAIL, f"{era} era", f"{era} era: {fault}", "see the conversation in the evidence"
            )
    slow = "progress seen" if journeys.slow_tool else "no slow tool declared"
    answer = Answer.PASS if journeys.slow_tool else Answer.WARN
    return Ruling(answer, "both eras", f"right answer, {slow}, invalid call refused; in both eras")


def _fault(seen: Mapping[str, Any], expected: str) -> str | None:
    if seen["pure_is_error"] or not expected or expected not in seen["pure_text"]:
        return f"the known call answered {seen['pure_text'][:80]!r}; expected {expected!r} in it"
    if seen["progress"] == []:
        return "the slow call reported no progress"
    if seen["progress"] is not None and sorted(set(seen["progress"])) != seen["progress"]:
        return f"progress did not rise: {seen['progress'][:5]}"
    if not seen["invalid_refused"]:
        return "the invalid call was accepted"
    return None


async def _walk(ctx: CheckContext, client: McpClient) -> dict[str, Any]:
    journeys = ctx.settings.journeys
    assert journeys.pure_tool is not None
    assert journeys.invalid_tool is not None
    pure = await call(client, journeys.pure_tool)
    progress = await _progress(ctx, client) if journeys.slow_tool is not None else None
    try:
        invalid_refused = (await call(client, journeys.invalid_tool)).result.get("isError") is True
    except McpError as error:
        if error.code is None:
            raise
        invalid_refused = True
    return {
        "pure_text": text_of(pure),
        "pure_is_error": bool(pure.result.get("isError")),
        "progress": progress,
        "invalid_refused": invalid_refused,
    }


async def _progress(ctx: CheckContext, client: McpClient) -> list[float]:
    """What the slow call reported; it has a created resource to work on, where one can be made."""
    journeys = ctx.settings.journeys
    assert journeys.slow_tool is not None
    can_create = undeclared(ctx, "create", "remove", "resource") is None
    async with created(ctx, client) if can_create else nullcontext():
        slow = await client.call_tool(
            journeys.slow_tool.tool,
            journeys.slow_tool.arguments,
            progress_token=_MARK,
            timeout_s=SLOW_TIMEOUT_S,
        )
    return [
        note["params"]["progress"]
        for note in slow.notifications
        if note.get("method") == "notifications/progress"
        and note.get("params", {}).get("progressToken") == _MARK
    ]


CHECK = Check(
    id="journeys.tool-execution",
    boxes=("journeys.tool-execution",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    probe=probe,
    judge=judge,
)
