"""Runs a deployment in a process of its own, so that a closed terminal or Ctrl-C never stops it.

The process writes what happens as JSON lines into a file below the state folder; any number of faces
follow that file. This knows nothing of what a deployment is. The lease that keeps two apart is
``gonogo.adapters.lease``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gonogo.model.errors import GonogoError

FOLDER: Final = "runs"
POLL_S: Final = 0.1
LOG_TAIL_LINES: Final = 15

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One detached run: where it writes, and its process id."""

    events: Path
    log: Path
    pid: int


def launch(
    arguments: Sequence[str], state: Path, name: str, now: datetime
) -> tuple[Run, subprocess.Popen[bytes]]:
    """Start ``gonogo`` with ``arguments`` in a session of its own; it gets ``--events FILE`` as well."""
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"{name}-{now:%Y%m%dT%H%M%S.%fZ}"
    events, log = base.with_suffix(base.suffix + ".jsonl"), base.with_suffix(base.suffix + ".log")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "gonogo.cli", *arguments, "--events", str(events)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    return Run(events, log, process.pid), process


def latest(state: Path, name: str) -> Run | None:
    """The run of this name that lives, else the newest that got to its first step; None if there was none."""
    ended: Run | None = None
    for events in sorted((state / FOLDER).glob(f"{name}-*.jsonl"), reverse=True):
        lines = read(events)
        pid = next((int(line["pid"]) for line in lines if "pid" in line), 0)
        run = Run(events, events.with_suffix(".log"), pid)
        if pid and _alive(pid) and not any("exit_code" in line for line in lines):
            return run
        if ended is None and any("event" in line for line in lines):
            ended = run
    return ended


def follow(run: Run, show: Callable[[Line], None], process: subprocess.Popen[bytes] | None = None) -> Line:
    """Give every line to ``show`` until the last one, which is returned.

    Raises:
        GonogoError: deploy.interrupted if the process ended without a last line.
    """
    seen = 0
    pause = threading.Event()
    while True:
        ended = process.poll() is not None if process is not None else not _alive(run.pid)
        lines = read(run.events)
        for line in lines[seen:]:
            if "exit_code" in line:
                return line
            show(line)
        seen = len(lines)
        if ended:
            raise _interrupted(run)
        pause.wait(POLL_S)


class Writer:
    """Writes the lines of one run; the first names the process."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self.write({"pid": os.getpid()})

    def write(self, line: Mapping[str, Any]) -> None:
        """Add one line; it is in the file when this returns."""
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


def read(events: Path) -> list[Line]:
    """Whole lines written so far."""
    try:
        text = events.read_text("utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended but was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _interrupted(run: Run) -> GonogoError:
    try:
        tail = run.log.read_text("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        tail = []
    said = "\n".join(tail) if tail else "it wrote nothing"
    return GonogoError(
        "deploy.interrupted",
        f"the deployment's process {run.pid} ended without saying how",
        note=f"last lines of {run.log}:\n{said}",
        hint="gonogo deploy VERSION --resume finishes it exactly once",
        exit_code=1,
    )
