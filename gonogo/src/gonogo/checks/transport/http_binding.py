"""HTTP listens exactly where clients are told to go, and an MCP call gets through there."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.prod.servers_healthy import is_loopback
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The listener table, /health, and one call on every address it names for HTTP."""
    listeners = await ctx.production.admin.listeners()
    bound = [str(entry.get("address")) for entry in listeners if entry.get("name") == "http"]
    calls = {address: await _call(f"http://{address}{ctx.environment.mcp_path}") for address in bound}
    facts = {
        "listeners": listeners,
        "bound": bound,
        "calls": calls,
        "health": (await ctx.production.admin.page("/health")).status,
    }
    return [json_reading(f"{ctx.environment.admin_url}/listeners and a call on each", facts)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Bound where declared, and nowhere else."""
    facts = facts_of(readings)
    parts = urlsplit(ctx.environment.base_url)
    declared = f"{parts.hostname}:{parts.port or {'https': 443}.get(parts.scheme, 80)}"
    if not facts["bound"]:
        return Ruling(
            Answer.FAIL, declared, f"no HTTP listener is bound; expected {declared}", "start it with --http"
        )
    if not is_loopback(parts.hostname or ""):
        return Ruling(
            Answer.UNKNOWN,
            declared,
            f"{declared} is not loopback, so a proxy's; what is bound behind it is not declared",
            "compare the listener table by hand",
        )
    strange = [address for address in facts["bound"] if address != declared]
    if strange:
        return Ruling(
            Answer.FAIL,
            strange[0],
            f"HTTP is bound to {', '.join(facts['bound'])}; expected exactly {declared}",
            "mend base_url in gonogo.toml, or --http",
        )
    refused = {address: said for address, said in facts["calls"].items() if said != "answered"}
    if refused or facts["health"] != 200:
        address = next(iter(refused), declared)
        return Ruling(
            Answer.FAIL,
            address,
            f"{refused.get(address, 'the call was answered')}; /health {facts['health']}; expected 200 twice",
            "gonogo status",
        )
    return Ruling(Answer.PASS, declared, f"bound to exactly {declared}; /health 200 and an MCP call answered")


async def _call(url: str) -> str:
    async with HttpReader() as http:
        try:
            await McpClient(url, http, Era.MODERN).open()
        except GonogoError as error:
            return error.message
    return "answered"


CHECK = Check(
    id="transport.http-binding",
    boxes=("transport.http-binding",),
    needs=frozenset({"admin", "mcp"}),
    side_effect=SideEffect.MARKED_TRAFFIC,
    probe=probe,
    judge=judge,
)
