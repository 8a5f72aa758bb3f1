"""Debug mode is off: no debug setting is on, no debug page answers, a forced error shows no internals."""

from __future__ import annotations

from collections.abc import Sequence

from gonogo.adapters.http import HttpReader
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.data.leaks import leaks_in
from gonogo.checks.readings import facts_of, json_reading
from gonogo.checks.rollback.rehearsal import DEADLINE_S, rehearse
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

PATHS = (
    "/debug",
    "/_debug",
    "/__debug__/",
    "/debug/pprof/",
    "/debug/vars",
    "/console",
    "/profiler",
    "/_profiler",
    "/actuator",
    "/actuator/env",
    "/phpinfo.php",
    "/server-status",
    "/graphiql",
    "/trace",
    "/dump",
    "/env",
)  # fmt: skip - one list
_HIDDEN = frozenset({403, 404})


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Settings of the candidate while it served, debug paths on its own listener, a forced error."""
    config = (await ctx.once(rehearse)).candidate_config
    scratch = await ctx.scratch.get()
    async with HttpReader(patient=True) as http:
        paths = {path: (await http.get(scratch.candidate_url + path)).status for path in PATHS}
        broken = await http.request(
            "POST",
            scratch.candidate_mcp_url,
            headers={"content-type": "application/json", "accept": "application/json, text/event-stream"},
            content=b'{"jsonrpc": "2.0", "id": 1, ',
        )
    facts = {
        "environment": config.get("environment"),
        "values": config.get("values"),
        "paths": paths,
        "forced_error": broken.body[:2000].decode("utf-8", errors="replace"),
    }
    return [json_reading("debug settings, paths and a forced error of the candidate", facts)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """All off."""
    facts, subject = facts_of(readings), f"release {ctx.manifest.version}"
    values = facts["values"]
    if not isinstance(values, dict) or not values:
        return Ruling(Answer.UNKNOWN, subject, "the running candidate does not tell its settings")
    on = [
        name
        for name, entry in values.items()
        if "debug" in name.lower()
        and isinstance(entry, dict)
        and entry.get("value") not in (False, "", None, 0)
    ]
    if on:
        return Ruling(Answer.FAIL, on[0], f"{on[0]} is on; expected off", "switch it off in the manifest")
    if facts["environment"] != "production":
        return Ruling(
            Answer.FAIL,
            "environment",
            f"the candidate runs as {facts['environment']}; expected production, which forbids debugging",
            'leave environment out of [guest.config], or write "production"',
        )
    shown = [f"{path} ({status})" for path, status in facts["paths"].items() if status not in _HIDDEN]
    if shown:
        return Ruling(
            Answer.FAIL,
            shown[0],
            f"{len(shown)} of {len(PATHS)} debug paths answer: {', '.join(shown[:3])}; expected 403 or 404",
            "take the debug routes out",
        )
    leaks = leaks_in(facts["forced_error"])
    if leaks:
        return Ruling(
            Answer.FAIL, "forced error", f"a forced error shows {', '.join(leaks)}", "hide internals"
        )
    return Ruling(
        Answer.PASS,
        subject,
        f"environment production, no debug setting on, {len(PATHS)} debug paths hidden",
    )


CHECK = Check(
    id="config.debug-mode-off",
    boxes=("config.debug-mode-off",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.DISRUPTIVE,
    deadline_s=DEADLINE_S,
    probe=probe,
    judge=judge,
)
