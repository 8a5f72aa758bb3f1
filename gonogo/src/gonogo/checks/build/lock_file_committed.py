"""The lock file is committed, unchanged, pins every entry by hash and holds every declared dependency."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Sequence

from gonogo.adapters.git import Git
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading, digest_of
from gonogo.model.finding import Answer

MAX_NAMED = 3
_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """The lock, what git says of it, and the dependencies that the project declares."""
    return await asyncio.to_thread(_read, ctx)


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Tracked, clean, pinned by hash, complete."""
    facts = facts_of(readings)
    path, entries, loose, missing = facts["path"], facts["entries"], facts["not_pinned"], facts["missing"]
    if not facts["tracked"]:
        return Ruling(
            Answer.FAIL, path, f"{path} is not tracked by git; expected a committed lock", f"git add {path}"
        )
    if facts["changed"]:
        return Ruling(Answer.FAIL, path, f"{path} has changes that are not committed", f"git commit {path}")
    if not entries:
        return Ruling(
            Answer.FAIL, path, f"{path} pins nothing; expected at least 1 entry", "lock with hashes"
        )
    if loose:
        return Ruling(
            Answer.FAIL,
            path,
            f"{len(loose)} of {entries} entries have no version and hash: {', '.join(loose[:MAX_NAMED])}",
            "lock again with hashes, as in uv pip compile --generate-hashes",
        )
    if missing:
        return Ruling(
            Answer.FAIL,
            path,
            f"{len(missing)} declared dependencies are not locked: {', '.join(missing[:MAX_NAMED])}",
            "lock again from pyproject.toml",
        )
    return Ruling(
        Answer.PASS,
        path,
        f"tracked and clean, {entries} entries pinned by hash, {facts['declared']} declared ones in it",
    )


def entries_of(lock: str) -> dict[str, bool]:
    """Normalised names of a requirements lock, and whether each is pinned by version and SHA-256."""
    joined = lock.replace("\\\n", " ")
    found = {}
    for line in joined.splitlines():
        text = line.split(" #", 1)[0].strip()
        if match := _NAME.match(text):
            found[_normal(match[1])] = "==" in text and "--hash=sha256:" in text
    return found


def _read(ctx: CheckContext) -> list[Reading]:
    path = ctx.settings.release.lock
    where = (ctx.repo / path).resolve()
    git = Git(where.parent)  # a lock shared by several services lies above them
    tracked = bool(git.tracked(where.name))
    there = where.is_file()
    lock = where.read_bytes() if there else b""
    entries = entries_of(lock.decode("utf-8", errors="replace"))
    declared = _declared(ctx)
    facts = {
        "path": path,
        "tracked": tracked and there,
        "changed": any(change.path.endswith(where.name) for change in git.changes()),
        "digest": digest_of(lock),
        "entries": len(entries),
        "not_pinned": sorted(name for name, pinned in entries.items() if not pinned),
        "declared": len(declared),
        "missing": sorted(declared - entries.keys()),
    }
    return [json_reading(path, facts)]


def _declared(ctx: CheckContext) -> set[str]:
    project = ctx.repo / "pyproject.toml"
    if not project.is_file():
        return set()
    lines = tomllib.loads(project.read_text("utf-8")).get("project", {}).get("dependencies", [])
    return {_normal(match[1]) for line in lines if (match := _NAME.match(line.strip()))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


CHECK = Check(
    id="build.lock-file-committed",
    boxes=("build.lock-file-committed",),
    needs=frozenset({"git"}),
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
