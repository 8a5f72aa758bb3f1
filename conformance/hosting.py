"""Starts the server under test on ports of its own, waits until it serves, and stops it by its process id."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conformance.running import NoServerError, probe

HOST: Final = "127.0.0.1"
ROOT: Final = Path(__file__).resolve().parent.parent
_START_TRIES: Final = 300
_TRY_EVERY_S: Final = 0.1
_STOP_TIMEOUT_S: Final = 15
_TAIL_BYTES: Final = 2_000


class StartError(Exception):
    """The server does not come up; the sentence holds the end of its log."""


@contextmanager
def erlmcp(target: str, *, workers: int, log: Path) -> Iterator[str]:
    """A fixture served by erlmcp for as long as the block runs; gives the address of its endpoint.

    Raises:
        StartError: it did not serve within 30 seconds.
    """
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("erlmcp")), "serve", target,
            "--http", f"{HOST}:{port}", "--admin", f"{HOST}:{_free_port()}",
            "--control", str(Path(folder) / "control.sock"), "--workers", str(workers),
        ]  # fmt: skip
        with _running(command, port, log) as url:
            yield url


@contextmanager
def own(fixture: str, *, log: Path) -> Iterator[str]:
    """A fixture served by its own framework.

    Raises:
        StartError: it did not serve within 30 seconds.
    """
    port = _free_port()
    with _running([sys.executable, "-m", "conformance.own_host", fixture, str(port)], port, log) as url:
        yield url


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[str]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    url = f"http://{HOST}:{port}/mcp"
    try:
        _wait_until_it_serves(process, url, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_serves(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(_START_TRIES):
        try:
            probe(url)
        except NoServerError:
            try:
                process.wait(_TRY_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            break
        else:
            return
    raise StartError(f"the server does not serve at {url}; its log ends:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe_socket:
        probe_socket.bind((HOST, 0))
        return int(probe_socket.getsockname()[1])
