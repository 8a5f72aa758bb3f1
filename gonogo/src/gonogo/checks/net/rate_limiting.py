"""A client that asks too much is slowed down politely, and served again after the wait it was told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence

from gonogo.adapters.http import HttpAnswer, HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

RATE, BURST = "limits.requests_per_s", "limits.burst"
DEFAULT_BURST = 100
PARALLEL = 16
MAX_REQUESTS = 4_000
EXCESS = 1.2
FLOOD_S = 10.0
MAX_WAIT_S = 5.0
_NOT_DECLARED = "no rate limit"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Exceed the declared limit on the candidate, obey Retry-After, try again."""
    rate = float(ctx.manifest.guest.config.get(RATE, 0) or 0)  # type: ignore[arg-type]
    burst = int(ctx.manifest.guest.config.get(BURST, DEFAULT_BURST))  # type: ignore[arg-type]
    if rate <= 0:
        return [json_reading(_NOT_DECLARED, {"rate": 0})]
    scratch = await ctx.scratch.get()
    async with HttpReader() as http:
        client = McpClient(scratch.candidate_mcp_url, http, Era.MODERN)
        begun = time.monotonic()
        answers = await _flood(client, rate, burst)
        elapsed_s = time.monotonic() - begun
        refused = [answer for answer in answers if answer.status == 429]
        waits = [answer.header("retry-after") for answer in refused]
        told_s = max((float(wait) for wait in waits if wait and wait.isdecimal()), default=0.0)
        await asyncio.sleep(min(told_s, MAX_WAIT_S))
        again = (await _one(client)).status
    statuses = [answer.status for answer in answers]
    facts = {
        "rate": rate,
        "burst": burst,
        "sent": len(answers),
        "elapsed_s": elapsed_s,
        "statuses": {str(status): statuses.count(status) for status in sorted(set(statuses))},
        "without_retry_after": sum(wait is None for wait in waits),
        "told_s": told_s,
        "again": again,
    }
    return [json_reading("a flood of one client on the candidate", facts)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """The excess was 429 with Retry-After, no more than the limit got through, and later one did."""
    facts = facts_of(readings)
    if facts["rate"] <= 0:
        return Ruling(
            Answer.FAIL,
            RATE,
            "no rate limit is declared; expected one above the busiest legitimate client",
            f'write "{RATE}" = 50 and "{BURST}" = 100 under [guest.config] in the manifest',
        )
    statuses, allowed = facts["statuses"], facts["burst"] + facts["rate"] * facts["elapsed_s"]
    passed, refused = statuses.get("200", 0), statuses.get("429", 0)
    said = (
        f"{passed} of {facts['sent']} requests in {facts['elapsed_s']:.1f} s got through, {refused} got 429"
    )
    if facts["sent"] <= allowed:
        return Ruling(
            Answer.UNKNOWN,
            RATE,
            f"{said}: too slow a flood to exceed {facts['rate']:g}/s with burst {facts['burst']}",
        )
    if set(statuses) - {"200", "429"}:
        return Ruling(
            Answer.FAIL, RATE, f"{said}; other statuses: {statuses}; expected 200 and 429 only", "see the log"
        )
    if not refused or passed > allowed * 1.05 + 1:
        return Ruling(
            Answer.FAIL, RATE, f"{said}; at most {allowed:.0f} are allowed", f"see {RATE} in the manifest"
        )
    if facts["without_retry_after"]:
        return Ruling(
            Answer.FAIL, RATE, f"{said}, {facts['without_retry_after']} of them without Retry-After", None
        )
    if facts["again"] != 200:
        return Ruling(
            Answer.FAIL,
            RATE,
            f"{said}; after {facts['told_s']:g} s the answer was {facts['again']}; expected 200",
            None,
        )
    return Ruling(
        Answer.PASS, RATE, f"{said} with Retry-After, and was served again after {facts['told_s']:g} s"
    )


async def _flood(client: McpClient, rate: float, burst: int) -> list[HttpAnswer]:
    """Send until a fifth more was asked than is allowed by then, for ten seconds at most."""
    begun = time.monotonic()
    answers: list[HttpAnswer] = []

    async def lane() -> None:
        while len(answers) < MAX_REQUESTS and (elapsed_s := time.monotonic() - begun) < FLOOD_S:
            if len(answers) > EXCESS * (burst + rate * elapsed_s):
                return
            answers.append(await _one(client))

    await asyncio.gather(*(lane() for _ in range(PARALLEL)))
    return answers


async def _one(client: McpClient) -> HttpAnswer:
    return await client.post(json.dumps(client.message("tools/list")).encode(), client.headers("tools/list"))


CHECK = Check(
    id="net.rate-limiting",
    boxes=("net.rate-limiting",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.DISRUPTIVE,
    deadline_s=60.0,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
