"""The rehearsal on the scratch copy: old, candidate, old again, under traffic. Not a check.

The switch is the same act that production gets (activate over the control socket). While the candidate
serves, its effective configuration is read: that is what production would run with.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.adapters.scratch import CANDIDATE, Scratch
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import json_reading
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading

DEADLINE_S = 90.0
DWELL_S = 0.4
PACE_S = 0.01
SEEN_TIMEOUT_S = 30.0
MIN_CALLS = 20
"""Fewer calls say nothing; on a slow machine the rehearsal goes on until there are so many, for a while."""
MAX_FAILURES_KEPT = 10


@dataclass(slots=True)
class Traffic:
    """What clients that never retry saw."""

    calls: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What happened, in seconds and counts.

    Attributes:
        serving, candidate: versions that /health reported while each served.
        candidate_config: the body of /config while the candidate served.
        to_candidate_s, rollback_s: from the trigger until seen from outside, a call included.
        ended_on: the version that /health reported at the end.
        ready: whether the service was ready at the end.
    """

    serving: str
    candidate: str
    candidate_config: dict[str, Any]
    to_candidate_s: float
    rollback_s: float
    ended_on: str
    ready: bool
    traffic: Traffic


async def rehearse(ctx: CheckContext) -> Rehearsal:
    """Go there and back once.

    Raises:
        GonogoError: the scratch copy does not run, refuses a switch or does not become ready.
    """
    scratch = await ctx.scratch.get()
    async with HttpReader(patient=True) as http, _traffic(scratch) as traffic:
        admin = AdminReader(scratch.admin_url, http)
        serving = str((await admin.health()).get("version"))
        to_candidate_s = await _switch(scratch, admin, http, CANDIDATE)
        candidate = str((await admin.health()).get("version"))
        config = dict(await admin.config())
        await asyncio.sleep(DWELL_S)
        rollback_s = await _switch(scratch, admin, http, scratch.serving_generation)
        await asyncio.sleep(DWELL_S)
        await _until_enough(traffic)
        ended_on, ready = str((await admin.health()).get("version")), await admin.is_ready()
    return Rehearsal(serving, candidate, config, to_candidate_s, rollback_s, ended_on, ready, traffic)


async def _until_enough(traffic: Traffic) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(SEEN_TIMEOUT_S):
            while traffic.calls < MIN_CALLS:  # noqa: ASYNC110 - the clients count and signal nothing
                await asyncio.sleep(PACE_S)


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The rehearsal that several checks read, made once in a run."""
    done = await ctx.once(rehearse)
    facts = {
        "serving": done.serving,
        "candidate": done.candidate,
        "candidate_config": done.candidate_config,
        "to_candidate_s": round(done.to_candidate_s, 4),
        "rollback_s": round(done.rollback_s, 4),
        "ended_on": done.ended_on,
        "ready": done.ready,
        "calls": done.traffic.calls,
        "failed": done.traffic.failed,
        "failures": done.traffic.failures,
    }
    return [json_reading("rehearsal on the scratch copy", facts)]


async def _switch(scratch: Scratch, admin: AdminReader, http: HttpReader, generation: str) -> float:
    """Seconds from the trigger until the world shows it: /health names it, ready, and a call is answered."""
    begun = time.monotonic()
    await scratch.control.activate(generation)
    async with asyncio.timeout(SEEN_TIMEOUT_S):
        while not await _serves(admin, generation):  # noqa: ASYNC110 - another process sends no event
            await asyncio.sleep(PACE_S)
        await McpClient(scratch.mcp_url, http, Era.MODERN).request("tools/list")
    return time.monotonic() - begun


async def _serves(admin: AdminReader, generation: str) -> bool:
    return (await admin.health()).get("generation") == generation and await admin.is_ready()


@asynccontextmanager
async def _traffic(scratch: Scratch) -> AsyncIterator[Traffic]:
    """One polite client of each era in the background, one call after the other, until the context ends.

    Polite, since other checks may have used up what the limit leaves to this address.
    """
    seen, stop = Traffic(), asyncio.Event()
    clients = [asyncio.create_task(_client(scratch.mcp_url, era, seen, stop)) for era in Era]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def _client(url: str, era: Era, seen: Traffic, stop: asyncio.Event) -> None:
    async with HttpReader(patient=True) as http:
        client = McpClient(url, http, era)
        is_open = False
        while not stop.is_set():
            seen.calls += 1
            try:
                if is_open:
                    await client.request("tools/list")
                else:
                    await client.open()
                    is_open = True
            except GonogoError as error:
                seen.failed += 1
                if len(seen.failures) < MAX_FAILURES_KEPT:
                    seen.failures.append(f"{era}: {error.message}")
            await asyncio.sleep(PACE_S)
