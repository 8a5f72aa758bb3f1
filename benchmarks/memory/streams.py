"""Streams that are held open by a process of their own, for as long as a block runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from benchmarks.http.load import LOAD_CORE
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import ROOT

_END_TIMEOUT_S: Final = 60


@contextmanager
def held(kind: str, port: int, count: int) -> Iterator[None]:
    """Streams of a kind, ``get`` or ``listen``, all open when the block begins.

    Raises:
        WrongAnswerError: one could not be opened, or the server has closed one.
    """
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.memory.holder"]
    with subprocess.Popen(
        [*command, kind, str(port), str(count)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None, "it is a pipe"
        if holder.stdout.readline() != "open\n":
            _, problem = holder.communicate(timeout=_END_TIMEOUT_S)
            raise WrongAnswerError(f"{count} streams of kind {kind} were not opened: {problem[-300:]}")
        yield
        rest, problem = holder.communicate("", timeout=_END_TIMEOUT_S)
        if rest != "0\n":
            raise WrongAnswerError(f"streams were closed while they were held: {rest!r} {problem[-300:]}")
