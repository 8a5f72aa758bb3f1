"""Drives the load generators on a core of their own: wrk as fast as it goes, ``pacer`` at an even rate."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from benchmarks.http import pacer
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
    tail: float = 0.0
    """The p99 over the p50 of the median slice; 0 if that was not measured."""

    @property
    def rate_per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.elapsed_s


@dataclass(frozen=True)
class Load:
    """A request, written down once for the load generator."""

    port: int
    message: Message
    sessions: list[str]
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
        return cls(port, message, sessions, files)

    def run(self, connections: int, duration_s: int) -> Loaded:
        """Load the server as fast as it answers.

        Raises:
            LoadError: wrk is missing or failed.
        """
        if shutil.which("wrk") is None:
            raise LoadError("wrk is not installed; on Debian: apt-get install wrk")
        command = [
            "taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{duration_s}s",
            "--timeout", f"{_ANSWER_TIMEOUT_S}s", "-s", str(_SCRIPT), f"http://{HOST}:{self.port}", "--",
            *(str(file) for file in self.files),
        ]  # fmt: skip
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=duration_s + _SLACK_S,
        )
        _, mark, line = ran.stdout.partition(_MARK)
        if not mark:
            raise LoadError(f"wrk failed: {(ran.stdout + ran.stderr)[-400:]}")
        return _read(json.loads(line.splitlines()[0]))

    def run_evenly(
        self, connections: int, duration_s: float, rate_per_s: float, *, shares_core: bool = False
    ) -> Loaded:
        """Load the server with requests that are due at even intervals, on an open loop.

        Raises:
            LoadError: the load generator failed.
        """
        order = pacer.Order(
            self.port,
            self.message.fields,
            self.message.body,
            self.sessions,
            connections,
            rate_per_s,
            duration_s,
            shares_core,
        )
        ran = subprocess.run(
            ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.http.pacer"],
            input=msgspec.json.encode(order),
            capture_output=True,
            check=False,
            cwd=Path(__file__).resolve().parents[2],
            timeout=duration_s + _SLACK_S,
        )
        if ran.returncode:
            raise LoadError(f"the load generator failed: {ran.stderr[-400:].decode('utf-8', 'replace')}")
        counted = msgspec.json.decode(ran.stdout, type=pacer.Counted)
        if not counted.requests:
            raise LoadError("not one request was answered")
        per_request = counted.bytes / counted.requests
        return Loaded(
            counted.requests,
            counted.elapsed_s,
            counted.p50_ms,
            counted.p99_ms,
            per_request,
            counted.bad,
            counted.tail,
        )


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
