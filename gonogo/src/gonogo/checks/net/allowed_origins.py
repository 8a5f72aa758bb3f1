"""Allowed origins are exact, safe and ours."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.prod.servers_healthy import is_loopback
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

SETTING = "mcp.allowed_origins"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The declared origins, and the public name of the service."""
    declared = ctx.manifest.guest.config.get(SETTING, [])
    origins = (
        [declared] if isinstance(declared, str) else list(declared) if isinstance(declared, list) else []
    )
    facts = {"origins": origins, "service_host": urlsplit(ctx.environment.base_url).hostname}
    return [json_reading(f"{SETTING} of release {ctx.manifest.version}", facts)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """None is a wildcard, plain, or foreign."""
    facts = facts_of(readings)
    for origin in facts["origins"]:
        fault = _fault(origin, facts["service_host"] or "")
        if fault:
            return Ruling(Answer.FAIL, origin, f"origin {origin} {fault}", f"mend {SETTING} in the manifest")
    if not facts["origins"]:
        return Ruling(Answer.PASS, SETTING, "no browser origin is allowed")
    return Ruling(Answer.PASS, SETTING, f"{len(facts['origins'])} origins, each exact and ours")


def _fault(origin: str, service_host: str) -> str | None:
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if "*" in origin:
        return "is a wildcard; expected exact origins"
    if not parts.scheme or not host or parts.path not in {"", "/"}:
        return "is not scheme, host and port; expected such as https://app.example.com"
    if is_loopback(host):
        return None
    if parts.scheme != "https":
        return f"is {parts.scheme}; expected https"
    domain = ".".join(service_host.split(".")[-2:])
    if host != service_host and not host.endswith("." + domain):
        return f"is not of the service's own domain {domain}"
    return None


CHECK = Check(
    id="net.allowed-origins",
    boxes=("net.allowed-origins",),
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
