"""Whether memory grows over a million calls and a hundred thousand sessions that were left behind.

Sessions end after two seconds without use here, so that "left behind" comes true within the run. The first
round of each kind is a warm-up; growth is counted from there to the end.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http.load import Load
from benchmarks.http.measuring import CONNECTIONS
from benchmarks.http.messages import WrongAnswerError, check_answer, message_for
from benchmarks.http.serving import Running
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.footprint import steady_bytes
from benchmarks.memory.sessions import leave_sessions

ROUNDS: Final = 5
_LOAD_S: Final = 2


@dataclass(frozen=True)
class Growth:
    """Memory after each round in bytes, the warm-up first, and what was done after it."""

    sizes: tuple[int, ...]
    calls: int
    sessions: int

    @property
    def bytes(self) -> int:
        """From the end of the warm-up to the end."""
        return self.sizes[-1] - self.sizes[0]


def growth(server: Running, calls: int, sessions: int) -> Growth:
    """Let a server work in rounds and weigh it after each.

    Raises:
        WrongAnswerError: something was not answered rightly.
    """
    message = message_for(Target("", "", Mode.MODERN))
    sizes, called = [], 0
    check_answer(server.port, message, None)
    with tempfile.TemporaryDirectory() as folder:
        load = Load.prepare(Path(folder), server.port, message, [])
        for round_number in range(ROUNDS + 1):
            done = _call(load, calls // ROUNDS)
            leave_sessions(server.port, sessions // ROUNDS)
            sizes.append(steady_bytes(server.pid))
            called += done if round_number else 0
    return Growth(tuple(sizes), called, sessions)


def _call(load: Load, count: int) -> int:
    done = 0
    while done < count:
        loaded = load.run(CONNECTIONS, _LOAD_S)
        if loaded.bad:
            raise WrongAnswerError(f"{loaded.bad} of {loaded.requests} calls went wrong")
        done += loaded.requests
    return done
