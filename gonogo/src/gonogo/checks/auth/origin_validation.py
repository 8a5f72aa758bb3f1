"""Browsers of foreign pages are kept out: forbidden origins get 403 on every method, allowed ones succeed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SETTING = "mcp.allowed_origins"
_FOREIGN = (
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "https://evil.example:443",
    "file://",
)


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Call the candidate with each origin, by POST in both eras, GET and DELETE."""
    scratch = await ctx.scratch.get()
    declared = ctx.manifest.guest.config.get(SETTING, [])
    allowed = (
        [declared] if isinstance(declared, str) else list(declared) if isinstance(declared, list) else []
    )
    foreign = [*_FOREIGN, *(f"{origin}.evil.example" for origin in allowed)]
    statuses: dict[str, dict[str, int]] = {}
    async with HttpReader(patient=True) as http:
        for origin in (*foreign, *allowed, ""):
            statuses[origin] = await _matrix(
                scratch.candidate_mcp_url, http, origin, foreign=origin in foreign
            )
    return [
        json_reading("statuses by origin", {"foreign": foreign, "allowed": allowed, "statuses": statuses})
    ]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """403 for every foreign one, 200 for every allowed one and without any."""
    facts = facts_of(readings)
    statuses = facts["statuses"]
    let_in = [
        f"{method} from {origin} ({status})"
        for origin in facts["foreign"]
        for method, status in statuses[origin].items()
        if status != 403
    ]
    if let_in:
        return Ruling(
            Answer.FAIL,
            let_in[0],
            f"{len(let_in)} requests from forbidden origins were not answered 403; first: {let_in[0]}",
            f"compare scheme, host and port exactly with {SETTING}",
        )
    for origin in ("", *facts["allowed"]):
        refused = {method: status for method, status in statuses[origin].items() if status != 200}
        if refused:
            name = origin or "without an Origin"
            return Ruling(
                Answer.FAIL, name, f"{name}: {refused}; expected 200", f"mend {SETTING} in the manifest"
            )
    tried = sum(len(statuses[origin]) for origin in facts["foreign"])
    note = f"{len(facts['allowed'])} allowed origins answered" if facts["allowed"] else "no origin is allowed"
    return Ruling(Answer.PASS, "origins", f"{tried} requests from forbidden origins refused with 403; {note}")


async def _matrix(endpoint: str, http: HttpReader, origin: str, *, foreign: bool) -> dict[str, int]:
    extra = {"origin": origin} if origin else {}
    found = {}
    for era, method in ((Era.MODERN, "tools/list"), (Era.HANDSHAKE, "initialize")):
        client = McpClient(endpoint, http, era)
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "gonogo", "version": "1"},
        }
        message = client.message(method, params if era is Era.HANDSHAKE else {})
        headers = {**client.headers(method), **extra}
        found[f"POST {era}"] = (await client.post(json.dumps(message).encode(), headers)).status
    if foreign:  # a stream or a session must not even be looked at
        for verb in ("GET", "DELETE"):
            headers = {"accept": "text/event-stream", **extra}
            found[verb] = (await http.request(verb, endpoint, headers=headers)).status
    return found


CHECK = Check(
    id="auth.origin-validation",
    boxes=("auth.origin-validation",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
