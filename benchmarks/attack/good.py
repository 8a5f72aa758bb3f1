"""What a good client feels: one that has its connections, and one that comes anew for every call."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http.load import LOAD_CORE, Load
from benchmarks.http.messages import CHECKED_ID, WrongAnswerError, is_right, message_for
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.wire import Connection

CONNECTIONS: Final = 4
RATE_PER_S: Final = 200.0
_MESSAGE: Final = message_for(Target("", "", Mode.MODERN))


@dataclass(frozen=True)
class Felt:
    """Times of calls in ms, from when they were due; ``bad``: refused, broken or wrong."""

    calls: int
    p50_ms: float
    p99_ms: float
    bad: int


def kept(port: int, duration_s: float) -> Felt:
    """Calls at an even rate on connections that it has."""
    with tempfile.TemporaryDirectory() as folder:
        load = Load.prepare(Path(folder), port, _MESSAGE, [])
        loaded = load.run_evenly(CONNECTIONS, duration_s, RATE_PER_S, shares_core=True)
    return Felt(loaded.requests, loaded.p50_ms, loaded.p99_ms, loaded.bad)


def anew(port: int, calls: int) -> Felt:
    """Calls one after the other, each on a connection of its own."""
    times, bad = [], 0
    body = _MESSAGE.body_with(CHECKED_ID).encode()
    with _on_the_core_of_the_load():
        for _ in range(calls):
            began = time.perf_counter()
            try:
                with Connection(port) as connection:
                    _, answer = connection.post(body, _MESSAGE.fields)
            except (OSError, WrongAnswerError):
                bad += 1
                continue
            times.append((time.perf_counter() - began) * 1e3)
            bad += not is_right(answer, CHECKED_ID)
    times.sort()
    if not times:
        return Felt(0, 0.0, 0.0, bad)
    return Felt(len(times), times[len(times) // 2], times[int(len(times) * 0.99)], bad)


@contextmanager
def _on_the_core_of_the_load() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
