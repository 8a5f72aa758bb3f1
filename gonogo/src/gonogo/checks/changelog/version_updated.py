"""The version is the same everywhere: manifest, package, change log, tag, and the tag is on this commit."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Sequence

from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

_HEADING = re.compile(r"^##\s+\[?v?(\d+\.\d+[^\]\s]*)\]?", re.MULTILINE)
NAMES = ("CHANGELOG.md", "CHANGES.md", "HISTORY.md")


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Every place that names the version."""
    return [json_reading("versions by place", await asyncio.to_thread(_places, ctx))]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """All equal to the manifest's, none missing."""
    facts = facts_of(readings)
    expected = facts["manifest"]
    for place in ("package", "change log"):
        if facts[place] is not None and facts[place] != expected:
            return Ruling(
                Answer.FAIL,
                place,
                f"the {place} says {facts[place]}; expected {expected}",
                f"mend the {place}",
            )
    if facts["change log"] is None:
        return Ruling(
            Answer.FAIL,
            "change log",
            f"no {NAMES[0]} heading names a version; expected {expected}",
            f"add a section ## [{expected}] to {NAMES[0]}",
        )  # fmt: skip - one thought
    if facts["tag commit"] is None:
        return Ruling(Answer.FAIL, "tag", f"no tag v{expected} or {expected}", f"git tag v{expected}")
    if facts["tag commit"] != facts["commit"]:
        return Ruling(
            Answer.FAIL,
            "tag",
            f"the tag is on {facts['tag commit'][:10]}; expected {facts['commit'][:10]}",
            f"tag this commit, or check out v{expected}",
        )
    return Ruling(Answer.PASS, expected, f"{expected} in manifest, package, change log and tag")


def _places(ctx: CheckContext) -> dict[str, str | None]:
    return {
        "manifest": ctx.manifest.version,
        "package": _package_version(ctx),
        "change log": _heading(ctx),
        "tag commit": _tag_commit(ctx),
        "commit": ctx.git.head_commit(),
    }


def _package_version(ctx: CheckContext) -> str | None:
    path = ctx.repo / "pyproject.toml"
    found = (
        tomllib.loads(path.read_text("utf-8")).get("project", {}).get("version") if path.is_file() else None
    )
    return str(found) if found is not None else None


def _heading(ctx: CheckContext) -> str | None:
    """The release's own version if the change log has a section for it, else the newest one's."""
    for name in NAMES:
        if (ctx.repo / name).is_file():
            found = _HEADING.findall((ctx.repo / name).read_text("utf-8"))
            return ctx.manifest.version if ctx.manifest.version in found else next(iter(found), None)
    return None


def _tag_commit(ctx: CheckContext) -> str | None:
    version = ctx.manifest.version
    listed = ctx.git.read(
        "for-each-ref", "--format=%(refname:short) %(*objectname) %(objectname)", "refs/tags"
    )
    for line in listed.splitlines():
        name, *objects = line.split(" ")
        if name in {version, f"v{version}"}:
            return next(found for found in objects if found)
    return None


CHECK = Check(
    id="changelog.version-updated",
    boxes=("changelog.version-updated",),
    needs=frozenset({"git"}),
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
