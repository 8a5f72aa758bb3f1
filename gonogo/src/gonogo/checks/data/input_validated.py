"""Malformed input is refused, never crashes a worker, and the service works as before afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.adapters.scratch import CANDIDATE, Scratch
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.data.corpus import cases, send
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

INTERNAL_ERROR = -32603


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Send the corpus; look at the candidate's processes before and after; make one good call at the end."""
    scratch = await ctx.scratch.get()
    async with HttpReader(patient=True) as http:
        client = McpClient(scratch.candidate_mcp_url, http, Era.MODERN)
        before = await _processes(scratch)
        outcomes = [await send(case, scratch.candidate_url, client.endpoint, http) for case in cases(client)]
        await client.request("tools/list")
        after = await _processes(scratch)
    rows = [{"case": o.name, "status": o.status, "code": o.code, "refused": o.refused} for o in outcomes]
    return [
        json_reading("malformed input to the candidate", {"before": before, "after": after, "cases": rows})
    ]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Every case refused without a server error, by the same processes throughout."""
    facts = facts_of(readings)
    rows = facts["cases"]
    accepted = [row["case"] for row in rows if not row["refused"]]
    if accepted:
        return Ruling(
            Answer.FAIL,
            accepted[0],
            f"{len(accepted)} of {len(rows)} malformed requests were accepted: {', '.join(accepted[:3])}",
            "validate before handling",
        )
    faults = [row["case"] for row in rows if row["status"] >= 500]
    if faults:
        return Ruling(
            Answer.FAIL,
            faults[0],
            f"{len(faults)} of {len(rows)} malformed requests gave 5xx: {', '.join(faults[:3])}; expected 0",
            "refuse them as the caller's fault",
        )
    if not facts["before"]["workers"] or facts["before"] != facts["after"]:
        return Ruling(
            Answer.FAIL if facts["before"]["workers"] else Answer.UNKNOWN,
            "workers",
            f"processes before: {facts['before']}, after: {facts['after']}; expected the same",
            "see the log for the worker that died",
        )
    said = f"{len(rows)} malformed requests refused by the same processes, none with 5xx"
    blamed = [row["case"] for row in rows if row["code"] == INTERNAL_ERROR]
    if blamed:
        return Ruling(
            Answer.WARN,
            blamed[0],
            f"{said}, but {len(blamed)} were called an internal error: {', '.join(blamed[:3])}",
            "answer -32602: callers' faults that count as the server's spoil the error rate",
        )
    return Ruling(Answer.PASS, "input", said)


async def _processes(scratch: Scratch) -> dict[str, Any]:
    generation: dict[str, Any] = next(
        (dict(g) for g in await scratch.control.generations() if g.get("id") == CANDIDATE), {}
    )
    return {name: generation.get(name) for name in ("workers", "started_at", "restarts")}


CHECK = Check(
    id="data.input-validated",
    boxes=("data.input-validated",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
