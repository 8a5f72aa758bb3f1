"""The version that serves now can be had again: its manifest is kept, and it is what production reports."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading, digest_of
from gonogo.model.finding import Answer


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """What production reports, and what git holds for that version."""
    assert ctx.previous_manifest is not None
    health = await ctx.production.admin.health()
    path = ctx.settings.release.manifest.replace("{version}", ctx.previous_manifest.version)
    tracked = bool(await asyncio.to_thread(ctx.git.tracked, path))
    changed = [c.path for c in await asyncio.to_thread(ctx.git.changes) if c.path.endswith(path)]
    kept = await asyncio.to_thread(ctx.git.show, "HEAD", "./" + path) if tracked else b""
    facts = {
        "reported": health.get("version"),
        "generation": health.get("generation"),
        "config_hash": health.get("config_hash"),
        "previous": ctx.previous_manifest.version,
        "manifest": path,
        "tracked": tracked,
        "changed": bool(changed),
        "digest": digest_of(kept),
    }
    return [json_reading("the serving version and its manifest", facts)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Tracked, unchanged, and the same version that serves."""
    facts = facts_of(readings)
    previous, path = facts["previous"], facts["manifest"]
    if facts["reported"] != previous:
        return Ruling(
            Answer.FAIL,
            path,
            f"production reports {facts['reported']}; expected {previous}, to which a rollback would go",
            "keep the manifest of the version that serves",
        )
    if not facts["tracked"] or facts["changed"]:
        state = "has changes" if facts["tracked"] else "is not tracked"
        return Ruling(
            Answer.FAIL, path, f"{path} {state}; expected it as committed", f"git add {path} && git commit"
        )
    return Ruling(
        Answer.PASS,
        path,
        f"production reports {previous} on {facts['generation']}; {path} is kept ({facts['digest'][:12]})",
    )


CHECK = Check(
    id="rollback.previous-version",
    boxes=("rollback.previous-version",),
    needs=frozenset({"admin", "git", "previous"}),
    probe=probe,
    judge=judge,
)
