"""What one more session, or one more open stream, costs a server: two batches, so that the slope counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from benchmarks.http import machine
from benchmarks.http.serving import Running
from benchmarks.memory.sessions import leave_sessions
from benchmarks.memory.streams import held

_LOOK_EVERY_S: Final = 0.5
_LOOKS: Final = 40
_STEADY_BYTES: Final = 128 * 1024


@dataclass(frozen=True)
class Footprint:
    """Bytes for each one of the first batch, and of the second; ``count`` is how many were added in all."""

    first: float
    second: float
    count: int

    @property
    def most(self) -> float:
        """What counts against a limit."""
        return max(self.first, self.second)


def steady_bytes(pid: int) -> int:
    """Memory of a process tree when it has come to rest: two looks with next to nothing between them."""
    before = machine.memory_bytes(pid)
    for _ in range(_LOOKS):
        time.sleep(_LOOK_EVERY_S)  # noqa: TID251 - between two looks at the same thing
        now = machine.memory_bytes(pid)
        if abs(now - before) <= _STEADY_BYTES:
            return now
        before = now
    return before


def of_sessions(server: Running, warm_up: int, batch: int) -> Footprint:
    """The cost of a session that was used once and then left.

    The warm-up fills what is bounded anyhow, such as the 2,048 request heads that erlmcp knows again.
    """
    leave_sessions(server.port, warm_up)
    return _two_batches(server.pid, batch, lambda: leave_sessions(server.port, batch))


def of_streams(server: Running, kind: str, warm_up: int, batch: int) -> Footprint:
    """The cost of a connection with an open stream: ``get`` with its session, or ``listen``."""
    with held(kind, server.port, warm_up), ExitStack() as stack:
        return _two_batches(server.pid, batch, lambda: stack.enter_context(held(kind, server.port, batch)))


def _two_batches(pid: int, batch: int, add: Callable[[], object]) -> Footprint:
    measured = [steady_bytes(pid)]
    for _ in range(2):
        add()
        measured.append(steady_bytes(pid))
    return Footprint((measured[1] - measured[0]) / batch, (measured[2] - measured[1]) / batch, 2 * batch)
