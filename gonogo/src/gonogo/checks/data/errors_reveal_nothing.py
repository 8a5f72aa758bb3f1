"""Errors tell the caller what is wrong with the request, and nothing about the inside."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.data.corpus import cases, send
from gonogo.checks.data.leaks import leaks_in
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

MIN_PATHS = 20


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Provoke every error of the corpus on the candidate, which must work otherwise."""
    scratch = await ctx.scratch.get()
    async with HttpReader(patient=True) as http:
        client = McpClient(scratch.candidate_mcp_url, http, Era.MODERN)
        await client.request("tools/list")
        outcomes = [await send(case, scratch.candidate_url, client.endpoint, http) for case in cases(client)]
    names = sorted({*ctx.manifest.guest.env, *ctx.settings.commands.scratch_env})
    rows = [
        {
            "case": outcome.name,
            "status": outcome.status,
            "refused": outcome.refused,
            "traced": outcome.traced,
            "text": outcome.text,
            "leaks": leaks_in(outcome.text, names=names),
        }
        for outcome in outcomes
    ]
    return [json_reading("error answers of the candidate", rows)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Enough error paths were reached and none leaks."""
    rows = facts_of(readings)
    errors = [row for row in rows if row["refused"] and row["status"]]
    if len(errors) < MIN_PATHS:
        return Ruling(
            Answer.UNKNOWN,
            "errors",
            f"only {len(errors)} of {len(rows)} provoked errors were answered; {MIN_PATHS} needed",
        )
    leaking = [row for row in rows if row["leaks"]]
    if leaking:
        first = leaking[0]
        return Ruling(
            Answer.FAIL,
            first["case"],
            f"{len(leaking)} of {len(rows)} answers give internals away; expected 0; "
            f"first: {first['case']} shows {', '.join(first['leaks'])}",
            "answer with a generic message and log the detail",
        )
    said = f"{len(errors)} error paths, 0 leaks"
    untraced = sum(not row["traced"] for row in errors)
    if untraced:
        return Ruling(
            Answer.WARN,
            "errors",
            f"{said}, but {untraced} answers carry no correlation id",
            "answer with X-Request-Id and log it",
        )
    return Ruling(Answer.PASS, "errors", said)


CHECK = Check(
    id="data.errors-reveal-nothing",
    boxes=("data.errors-reveal-nothing",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
