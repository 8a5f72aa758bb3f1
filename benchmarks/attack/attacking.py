"""A crowd that attacks a server for as long as a block runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.http.load import LOAD_CORE
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import ROOT, Running

_END_TIMEOUT_S: Final = 60


@dataclass
class Attack:
    """What became of the crowd; filled when the block has ended.

    Attributes:
        least_held: so many connections were open at any time.
        closed: connections that the server closed, by what their clients did.
        failed: connections that could not be opened.
    """

    least_held: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    failed: int = 0


@contextmanager
def attacked(server: Running, count: int, enough: int, timeout_s: int = 45) -> Iterator[Attack]:
    """A crowd of ``count``, of which ``enough`` are connected when the block begins.

    It gets the core of the load only when nobody else wants it, lest the good client wait for the core.

    Raises:
        WrongAnswerError: they did not get in in time, or the crowd itself failed.
    """
    command = ["taskset", "-c", str(LOAD_CORE), "chrt", "--idle", "0", sys.executable, "-m"]
    ports = [str(server.port), str(server.more_ports[1])]
    with subprocess.Popen(
        [*command, "benchmarks.attack.crowd", *ports, str(count), str(enough), str(timeout_s)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as crowd:
        assert crowd.stdout is not None, "it is a pipe"
        attack = Attack()
        try:
            if crowd.stdout.readline() != "held\n":
                _, problem = crowd.communicate(timeout=_END_TIMEOUT_S)
                raise WrongAnswerError(f"a crowd of {enough} did not get in: {problem[-300:]}")
            yield attack
            told, problem = crowd.communicate("", timeout=_END_TIMEOUT_S)
        finally:
            crowd.kill()
    if not told:
        raise WrongAnswerError(f"the crowd failed: {problem[-300:]}")
    for name, value in json.loads(told).items():
        setattr(attack, name, value)
