"""Health and readiness answer every time, quickly, and say which build is running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

CALLS = 20
LIMIT_S = 1.0
_HEALTH_MEMBERS = ("status", "service", "version", "generation", "started_at", "pid")


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Call each page 20 times; keep every status and time, and the last bodies."""
    pages: dict[str, Any] = {}
    for path in ("/health", "/ready"):
        answers = [await ctx.production.admin.page(path) for _ in range(CALLS)]
        pages[path] = {
            "statuses": [answer.status for answer in answers],
            "elapsed_s": [round(answer.elapsed_s, 6) for answer in answers],
            "body": answers[-1].json(),
        }
    return [json_reading(f"GET {ctx.environment.admin_url}/health and /ready, {CALLS} times each", pages)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Every answer 200 within a second, with the members that operators and the watch rely on."""
    pages = facts_of(readings)
    subject = ctx.environment.admin_url
    fault = _schema_fault(pages["/health"]["body"], pages["/ready"]["body"], ctx)
    for path, page in pages.items():
        good = sum(status == 200 for status in page["statuses"])
        if good < CALLS:
            return Ruling(
                Answer.FAIL,
                subject + path,
                f"{good} of {CALLS} calls of {path} answered 200; expected all",
                "read the service's log",
            )
        slowest = max(page["elapsed_s"])
        if slowest > LIMIT_S:
            return Ruling(
                Answer.FAIL,
                subject + path,
                f"the slowest call of {path} took {slowest:.3f} s; expected at most {LIMIT_S:g} s",
                "see what blocks the service",
            )
    if fault:
        return Ruling(Answer.FAIL, subject, fault, "answer as the contract in contracts/ describes")
    slowest = max(max(page["elapsed_s"]) for page in pages.values())
    version = pages["/health"]["body"]["version"]
    return Ruling(
        Answer.PASS,
        subject,
        f"{2 * CALLS} of {2 * CALLS} calls 200, slowest {slowest:.3f} s, version {version}",
    )


def _schema_fault(health: Any, ready: Any, ctx: CheckContext) -> str | None:
    if not isinstance(health, dict) or health.get("status") != "alive":
        return "/health does not say status alive"
    lacking = [name for name in _HEALTH_MEMBERS if health.get(name) in (None, "")]
    if lacking:
        return f"/health lacks {', '.join(lacking)}"
    components = ready.get("components") if isinstance(ready, dict) else None
    if not isinstance(components, list) or not components:
        return "/ready lists no components"
    known = {component.get("name") for component in components if isinstance(component, dict)}
    absent = sorted(set(ctx.settings.service.critical_components) - known)
    return f"/ready does not list {', '.join(absent)}" if absent else None


CHECK = Check(
    id="monitoring.health-endpoints",
    boxes=("monitoring.health-endpoints",),
    needs=frozenset({"admin"}),
    deadline_s=60.0,
    probe=probe,
    judge=judge,
)
