"""Drives wrk, the load generator, pinned to a core of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http.messages import HOST, Message

LOAD_CORE: Final = 1
_SCRIPT: Final = Path(__file__).with_name("load.lua")
_MARK: Final = "RESULT "
_ANSWER_TIMEOUT_S: Final = 8
_SLACK_S: Final = 30


class LoadError(Exception):
    """The load generator is missing, or did not do its work."""


@dataclass(frozen=True)
class Loaded:
    """What one run of the load generator counted."""

    requests: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    bytes_per_request: float
    bad: int

    @property
    def rate_per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.elapsed_s


@dataclass(frozen=True)
class Load:
    """A request, written down once for the load generator."""

    port: int
    files: tuple[Path, Path, Path]

    @classmethod
    def prepare(cls, folder: Path, port: int, message: Message, sessions: list[str]) -> Load:
        """Write the files that the script reads."""
        texts = (
            "".join(f"{name}: {value}\r\n" for name, value in message.fields.items()),
            message.body,
            "\n".join(sessions),
        )
        files = (folder / "fields", folder / "body", folder / "sessions")
        for file, text in zip(files, texts, strict=True):
            file.write_text(text, newline="")
        return cls(port, files)

    def run(self, connections: int, duration_s: int, *, pause_ms: float = 0) -> Loaded:
        """Load the server; with a pause, each connection rests that long on average between two requests.

        Raises:
            LoadError: wrk is missing or failed.
        """
        if shutil.which("wrk") is None:
            raise LoadError("wrk is not installed; on Debian: apt-get install wrk")
        command = [
            "taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{duration_s}s",
            "--timeout", f"{_ANSWER_TIMEOUT_S}s", "-s", str(_SCRIPT), f"http://{HOST}:{self.port}", "--",
            *(str(file) for file in self.files), f"{pause_ms:.3f}",
        ]  # fmt: skip
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=duration_s + _SLACK_S,
            env={**os.environ, "BENCH_PACED": "1" if pause_ms else "0"},
        )
        _, mark, line = ran.stdout.partition(_MARK)
        if not mark:
            raise LoadError(f"wrk failed: {(ran.stdout + ran.stderr)[-400:]}")
        return _read(json.loads(line.splitlines()[0]))


def _read(counted: dict[str, int]) -> Loaded:
    requests = counted["requests"]
    if not requests:
        raise LoadError("not one request was answered")
    return Loaded(
        requests,
        counted["elapsed_us"] / 1e6,
        counted["p50_us"] / 1e3,
        counted["p99_us"] / 1e3,
        counted["bytes"] / requests,
        counted["refused"] + counted["broken"] + counted["late"],
    )
