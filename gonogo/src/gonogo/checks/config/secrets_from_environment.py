"""No literal secret in what is released: secret-looking settings must come from the environment or a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from gonogo.checks.build.secret_scan import scan_text
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

_SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_?key|private_?key|credential)")
_REFERENCE = re.compile(r"^(env:|file:|\$\{?[A-Z_]+\}?$|/)")  # a name, a reference or a path is no secret
_NAMES_A_PLACE = re.compile(r"(?i)_(file|path|env|url|ttl|timeout(_s)?|name)$")


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Names and places of literal secrets in the manifest and gonogo.toml; never a value."""
    files = [ctx.settings.release.manifest.replace("{version}", ctx.manifest.version), "gonogo.toml"]
    texts = [(name, await asyncio.to_thread(_text, ctx.repo / name)) for name in files]
    facts = {
        "files": [name for name, text in texts if text is not None],
        "fields": _fields(ctx),
        "literal": sorted(_literal_names(ctx)),
        "hits": [asdict(hit) for name, text in texts if text is not None for hit in scan_text(name, text)],
    }
    return [json_reading("secrets in the declared configuration, values left out", facts)]


def judge(readings: Sequence[Reading], ctx: CheckContext) -> Ruling:
    """Nothing literal."""
    facts = facts_of(readings)
    version = ctx.manifest.version
    if not facts["files"]:
        return Ruling(
            Answer.UNKNOWN,
            f"release {version}",
            "neither the manifest nor gonogo.toml could be read",
            "gonogo init",
        )
    if facts["literal"]:
        return Ruling(
            Answer.FAIL,
            facts["literal"][0],
            f"{len(facts['literal'])} literal secrets: {', '.join(facts['literal'][:3])}; expected 0",
            "set the variable where the server is started, or name a file by NAME_FILE; revoke the old value",
        )
    if facts["hits"]:
        hit = facts["hits"][0]
        return Ruling(
            Answer.FAIL,
            f"{hit['path']}:{hit['line']}",
            f"{len(facts['hits'])} secrets in configuration files; expected 0; first: {hit['kind']}",
            "take it out and revoke it",
        )
    return Ruling(
        Answer.PASS,
        f"release {version}",
        f"no literal secret in {facts['fields']} settings of {len(facts['files'])} files",
    )


def _fields(ctx: CheckContext) -> int:
    """How many settings were looked at."""
    return (
        len(ctx.manifest.guest.env) + len(ctx.manifest.guest.config) + len(ctx.settings.commands.scratch_env)
    )


def _literal_names(ctx: CheckContext) -> Iterator[str]:
    guest = ctx.manifest.guest
    declared = {
        **guest.env,
        **{k: str(v) for k, v in guest.config.items()},
        **ctx.settings.commands.scratch_env,
    }
    for name, value in declared.items():
        is_secret = _SECRET_NAME.search(name) and not _NAMES_A_PLACE.search(name)
        if (is_secret and value and not _REFERENCE.match(value)) or _has_password(value):
            yield name


def _has_password(value: str) -> bool:
    return bool(re.search(r"://[^/\s:@]+:[^/\s@]+@", value))


def _text(path: Path) -> str | None:
    return path.read_text("utf-8", errors="replace") if path.is_file() else None


CHECK = Check(
    id="config.secrets-from-environment",
    boxes=("config.secrets-from-environment",),
    probe=probe,
    judge=judge,
)
