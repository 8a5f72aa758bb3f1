"""Session ids cannot be guessed, and an altered one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.data.id_statistics import BIAS_LEVEL, statistics_of
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SESSIONS = 200
MIN_BITS = 128
_REFUSED = frozenset({400, 401, 403, 404})


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Open sessions one after the other on the candidate; use an altered id; end what was opened."""
    scratch = await ctx.scratch.get()
    ids: list[str] = []
    altered: list[int] = []
    async with HttpReader(patient=True) as http:
        for number in range(SESSIONS):
            client = McpClient(scratch.candidate_mcp_url, http, Era.HANDSHAKE)
            await client.open()
            if client.session_id is None:
                break
            ids.append(client.session_id)
            if number % 20 == 0:
                altered.append(await _status_with(client, _altered(client.session_id)))
            await client.end_session()
    facts = {"sessions": SESSIONS, "statistics": asdict(statistics_of(ids)), "altered_statuses": altered}
    return [json_reading("statistics of session ids, no id is kept", facts)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Unique, long, visible ASCII, even, unordered; altered ones refused."""
    facts = facts_of(readings)
    found = facts["statistics"]
    if found["count"] == 0:
        return Ruling(Answer.NOT_APPLICABLE, "sessions", "the service issues no session ids")
    if found["count"] < facts["sessions"]:
        return Ruling(
            Answer.UNKNOWN,
            "sessions",
            f"{found['count']} of {facts['sessions']} sessions had an id; expected all",
        )
    faults = [
        (found["unique"] < found["count"], f"{found['unique']} of {found['count']} are unique; expected all"),
        (not found["visible_ascii"], "some hold characters that are not visible ASCII"),
        (
            found["entropy_bits"] < MIN_BITS,
            f"{found['entropy_bits']:.0f} bits vary; expected at least {MIN_BITS}",
        ),
        (
            found["bias_p"] < BIAS_LEVEL,
            f"characters are uneven, p = {found['bias_p']:.2g}; expected ≥ {BIAS_LEVEL}",
        ),
        (
            found["order_p"] < BIAS_LEVEL,
            f"ids follow each other, p = {found['order_p']:.2g}; expected ≥ {BIAS_LEVEL}",
        ),
    ]
    for is_fault, reason in faults:
        if is_fault:
            return Ruling(
                Answer.FAIL, "sessions", f"session ids: {reason}", "make ids with a secure generator"
            )
    taken = [status for status in facts["altered_statuses"] if status not in _REFUSED]
    if taken or not facts["altered_statuses"]:
        return Ruling(
            Answer.FAIL if taken else Answer.UNKNOWN,
            "sessions",
            f"{len(taken)} of {len(facts['altered_statuses'])} altered ids were not refused, got {taken[:3]}",
            "verify the whole id",
        )
    return Ruling(
        Answer.PASS,
        "sessions",
        f"{found['unique']} unique ids, {found['entropy_bits']:.0f} bits vary, "
        f"bias p = {found['bias_p']:.2g}, "
        f"{len(facts['altered_statuses'])} altered ones refused",
    )


def _altered(session_id: str) -> str:
    """The id with its middle character changed to another of its own."""
    middle = len(session_id) // 2
    other = next((c for c in session_id if c != session_id[middle]), "A")
    return session_id[:middle] + other + session_id[middle + 1 :]


async def _status_with(client: McpClient, session_id: str) -> int:
    headers = {**client.headers("tools/list"), "mcp-session-id": session_id}
    body = b'{"jsonrpc":"2.0","id":"altered","method":"tools/list","params":{}}'
    return (await client.post(body, headers)).status


CHECK = Check(
    id="data.session-ids-secure",
    boxes=("data.session-ids-secure",),
    needs=frozenset({"scratch", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    deadline_s=60.0,
    valid_s=4 * 3600.0,
    probe=probe,
    judge=judge,
)
