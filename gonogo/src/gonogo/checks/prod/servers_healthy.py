"""Production is healthy and ready, its clock agrees with ours, and its disk has room."""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

DISK_LIMIT = 0.85
CLOCK_LIMIT_S = 2.0  # one second of disagreement, and one that the Date header cannot tell


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """One look at health, readiness, clock and, if the service runs on this machine, the disk."""
    answer = await ctx.production.admin.page("/health")
    told = answer.header("date")
    now = ctx.clock()
    # Servers tell whole seconds and renew them each second: what is told may be up to 2 s old.
    told_at = parsedate_to_datetime(told) + timedelta(seconds=1) if told else None
    offset_s = (told_at - now).total_seconds() if told_at else None
    host = urlsplit(ctx.environment.admin_url).hostname or ""
    facts = {
        "health_status": answer.status,
        "health": answer.json(),
        "ready": await ctx.production.admin.is_ready(),
        "clock_offset_s": offset_s,
        "read_at": datetime.isoformat(now),
        "disk_used": await asyncio.to_thread(_disk_used, ctx) if is_loopback(host) else None,
    }
    return [json_reading(f"{ctx.environment.admin_url} health, clock and disk", facts)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """All healthy; what could not be read is unknown."""
    facts, subject = facts_of(readings), ctx.environment.admin_url
    if facts["health_status"] != 200 or not facts["ready"]:
        return Ruling(
            Answer.FAIL,
            subject,
            f"/health answered {facts['health_status']}, ready is {facts['ready']}; expected 200 and True",
            "gonogo status",
        )
    if facts["clock_offset_s"] is None:
        return Ruling(Answer.UNKNOWN, subject, "the service tells no time, so its clock cannot be compared")
    if abs(facts["clock_offset_s"]) > CLOCK_LIMIT_S:
        return Ruling(
            Answer.FAIL,
            subject,
            f"its clock is {facts['clock_offset_s']:+.1f} s off; expected within {CLOCK_LIMIT_S:g} s",
            "synchronise the clocks",
        )
    if facts["disk_used"] is None:
        return Ruling(Answer.UNKNOWN, subject, "the disk of another host is not measured", "check it by hand")
    if facts["disk_used"] >= DISK_LIMIT:
        return Ruling(
            Answer.FAIL,
            subject,
            f"the disk is {facts['disk_used']:.0%} full; expected below {DISK_LIMIT:.0%}",
            "free some space",
        )
    return Ruling(
        Answer.PASS,
        subject,
        f"healthy and ready, clock {facts['clock_offset_s']:+.1f} s, disk {facts['disk_used']:.0%} full",
    )


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine by loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _disk_used(ctx: CheckContext) -> float:
    usage = shutil.disk_usage(ctx.repo)
    return usage.used / (usage.used + usage.free)


CHECK = Check(
    id="prod.servers-healthy",
    boxes=("prod.servers-healthy",),
    needs=frozenset({"admin"}),
    probe=probe,
    judge=judge,
)
