"""Reads what gonogo wrote: its status, its reports, and the chain inside an exported bundle.

Only files and words that any user of gonogo has; none of its modules are imported.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.program import Programs, Ran

_REPORT_BYTES_MIN = 2_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """What ``gonogo status`` says of a release: its verdict and the ids of what blocks it."""

    verdict: str
    blocking: tuple[str, ...]


async def candidate(programs: Programs, version: str) -> Candidate:
    """Ask for the verdict on ``version`` as it stands in the record."""
    status = await programs.must("gonogo", "status", "--version", version, "--json", shown=False)
    said = json.loads(status.output)["candidate"]
    return Candidate(said["verdict"], tuple(said["blocking"]))


def steps_shown(deployment: Ran, steps: Collection[str]) -> list[str]:
    """Which of ``steps`` the deployment showed as finished."""
    shown = set(re.findall(r"^\s*✓\s+([a-z]+)\b", deployment.output, re.MULTILINE))
    return [step for step in steps if step in shown]


def is_report(path: Path, version: str) -> bool:
    """Whether a whole HTML page about ``version`` was written."""
    if not path.is_file() or path.stat().st_size < _REPORT_BYTES_MIN:
        return False
    text = path.read_text("utf-8")
    return version in text and text.rstrip().endswith("</html>")


def verdict_at(bundle: Path) -> datetime | None:
    """When the verdict fell that led to a rollback, as the chain in the bundle tells it."""
    for entry in _entries(bundle):
        if entry.get("kind") == "rollback.started":
            return datetime.fromisoformat(str(entry["body"]["verdict_at"]))
    return None


def _entries(bundle: Path) -> Iterator[Mapping[str, Any]]:
    with zipfile.ZipFile(bundle) as archive, archive.open("chain.jsonl") as chain:
        for line in chain:
            yield json.loads(line)
