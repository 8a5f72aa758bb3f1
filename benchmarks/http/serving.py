"""Starts a target pinned to a core, waits until it accepts, and stops it by its process id."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from benchmarks.http.messages import HOST

SERVER_CORE: Final = 0
ROOT: Final = Path(__file__).resolve().parents[2]
CONFIG: Final = Path(__file__).with_name("erlmcp.toml")
_START_TRIES: Final = 300
_TRY_EVERY_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 15


class StartError(Exception):
    """A target does not accept connections; the sentence holds the end of its log."""


class Startable(Protocol):
    """What can be started: see ``benchmarks.http.targets.Target`` for the words of a command."""

    @property
    def name(self) -> str: ...
    @property
    def command(self) -> str: ...


@dataclass(frozen=True)
class Running:
    """A started target."""

    port: int
    pid: int
    more_ports: tuple[int, int]
    """``{port2}`` and ``{port3}`` of its command."""
    stop: Callable[[], None]
    """Ends it before its time; asked twice it does nothing."""


@contextmanager
def running(target: Startable, config: Path = CONFIG) -> Iterator[Running]:
    """A target for as long as the block runs, with a configuration if it is erlmcp.

    Raises:
        StartError: it did not accept within 30 seconds.
    """
    port, more_ports = _free_port(), (_free_port(), _free_port())
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = {
            "python": sys.executable,
            "bin": str(Path(sys.executable).parent),
            "port": port,
            "port2": more_ports[0],
            "port3": more_ports[1],
            "folder": folder,
            "config": config,
        }
        command = ["taskset", "-c", str(SERVER_CORE), *(w.format(**words) for w in target.command.split())]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        try:
            _wait_until_it_accepts(process, port, target, log)
            yield Running(port, process.pid, more_ports, partial(_stop, process))
        finally:
            _stop(process)


def _wait_until_it_accepts(process: subprocess.Popen[bytes], port: int, target: Startable, log: Path) -> None:
    for _ in range(_START_TRIES):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            try:
                process.wait(_TRY_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            break
        else:
            return
    tail = log.read_bytes()[-1_500:].decode("utf-8", "replace")
    raise StartError(f"{target.name} does not start; its log ends:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        return int(bound.getsockname()[1])
