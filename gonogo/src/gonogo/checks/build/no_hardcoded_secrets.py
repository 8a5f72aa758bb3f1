"""Source contains no secrets; a scanner that misses a planted one answers nothing."""

from __future__ import annotations

import asyncio
import secrets
import string
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gonogo.adapters.git import Git
from gonogo.checks.build.secret_scan import VERSION, scan
from gonogo.checks.build.tree import tracked_texts
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

MAX_HITS = 200
_PLANTED = "planted_by_gonogo.py"


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Scan the tracked tree; then scan a clone of it that holds a planted key."""
    hits, files = await asyncio.to_thread(_scan, ctx.git)
    caught = await _planted_is_caught(ctx)
    facts = {
        "scanner": VERSION,
        "files": files,
        "hits": hits[:MAX_HITS],
        "hits_in_all": len(hits),
        "planted_is_caught": caught,
    }
    return [json_reading("secret scan of the tracked tree", facts)]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """No hit in a tree that was really scanned by a scanner that bites."""
    facts = facts_of(readings)
    if not facts["planted_is_caught"]:
        return Ruling(
            Answer.UNKNOWN, "scanner", "the scanner did not find the key that was planted to test it"
        )
    if facts["files"] == 0:
        return Ruling(Answer.UNKNOWN, "tree", "no tracked text file was found to scan", "commit the source")
    if not facts["hits"]:
        return Ruling(
            Answer.PASS, "tree", f"no secret in {facts['files']} tracked files; the planted key was found"
        )
    first = facts["hits"][0]
    where = f"{first['path']}:{first['line']}"
    return Ruling(
        Answer.FAIL,
        where,
        f"{facts['hits_in_all']} secrets in tracked files; expected 0; first: {first['kind']} at {where}",
        "revoke it and read it from the environment; if it is none, write `not-a-secret: REASON` on its line",
    )


def _scan(git: Git) -> tuple[list[dict[str, object]], int]:
    texts = list(tracked_texts(git))
    return [asdict(hit) for hit in scan(texts)], len(texts)


async def _planted_is_caught(ctx: CheckContext) -> bool:
    key = "AKIA" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(16))
    with tempfile.TemporaryDirectory(prefix="gonogo-clone-") as folder:
        clone = Path(folder) / "clone"
        root = await asyncio.to_thread(ctx.git.root)
        for line in (
            ("git", "clone", "--quiet", "--shared", "--", str(root), str(clone)),
            ("git", "-C", str(clone), "add", "--force", "--", _PLANTED),
        ):
            if "add" in line:
                (clone / _PLANTED).write_text(f'KEY = "{key}"\n', "utf-8")
            done = await ctx.commands.run(line, timeout_s=60.0)
            if done.exit_code != 0:
                return False
        hits, _ = await asyncio.to_thread(_scan, Git(clone))
        return any(hit["path"] == _PLANTED for hit in hits)


CHECK = Check(
    id="build.no-hardcoded-secrets",
    boxes=("build.no-hardcoded-secrets",),
    needs=frozenset({"git"}),
    side_effect=SideEffect.PASSIVE,
    deadline_s=90.0,
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
