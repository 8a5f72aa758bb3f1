"""Measures one target once: check, warm up, load, check again. Repeating and comparing is ``__main__``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.http import machine
from benchmarks.http.load import LOAD_CORE, Load, Loaded
from benchmarks.http.messages import WrongAnswerError, check_answer, message_for, open_sessions
from benchmarks.http.serving import SERVER_CORE, running
from benchmarks.http.targets import Mode, Target

CONNECTIONS: Final = 64
SESSIONS: Final = 64
PACED_SHARE: Final = 0.7
MOST_NOISE: Final = 0.08
_LENGTH_SLACK_BYTES: Final = 4


@dataclass(frozen=True)
class Sample:
    """One repetition of one target.

    ``cpu_us`` is CPU time of the server's processes for one request, ``noise`` the largest share of either
    core that belonged to others meanwhile, ``tail`` the p99 over the p50 at 70 % of the rate in the median
    slice of the run, ``whole_tail`` that of the run in all; None when they were not measured.
    """

    rate_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    noise: float
    memory_mb: float
    tail: float | None = None
    whole_tail: float | None = None

    @property
    def core_rate_per_s(self) -> float:
        """Requests that one core would serve in a second if nothing else ran on it."""
        return 1e6 / self.cpu_us


def measure(target: Target, *, duration_s: int, warm_up_s: int, tail: bool) -> Sample:
    """Start the target, measure it, stop it.

    Raises:
        WrongAnswerError: an answer was not right, before, during or after.
        StartError: it did not start.
        LoadError: the load generator failed.
    """
    message = message_for(target)
    with running(target) as server, tempfile.TemporaryDirectory() as folder:
        sessions = open_sessions(server.port, SESSIONS) if target.mode is Mode.SESSION else []
        session = sessions[0] if sessions else None
        check_answer(server.port, message, session)
        load = Load.prepare(Path(folder), server.port, message, sessions)
        warm = load.run(CONNECTIONS, warm_up_s)
        loaded, cpu_us, noise = under_load(lambda: load.run(CONNECTIONS, duration_s), server.pid)
        require_right(target.name, warm, loaded)
        tails = _tails(target.name, load, loaded, duration_s) if tail else (None, None)
        check_answer(server.port, message, session)
        memory_mb = machine.memory_mb(server.pid)
    return Sample(loaded.rate_per_s, loaded.p50_ms, loaded.p99_ms, cpu_us, noise, memory_mb, *tails)


def under_load(load: Callable[[], Loaded], pid: int) -> tuple[Loaded, float, float]:
    """What a load counted, CPU time of the server for one request in µs, and the noise."""
    before = (machine.busy_s(SERVER_CORE), machine.busy_s(LOAD_CORE), machine.cpu_s(pid))
    own, began = machine.own_children_cpu_s(), time.perf_counter()
    loaded = load()
    elapsed_s = time.perf_counter() - began
    used_s = machine.cpu_s(pid) - before[2]
    load_s = machine.own_children_cpu_s() - own
    others = (
        machine.busy_s(SERVER_CORE) - before[0] - used_s,
        machine.busy_s(LOAD_CORE) - before[1] - load_s,
    )
    return loaded, used_s * 1e6 / loaded.requests, max(0.0, *others) / elapsed_s


def require_right(name: str, warm: Loaded, loaded: Loaded) -> None:
    """No refusal, nothing broken, and answers of one length: a 200 that carries an error has another.

    Raises:
        WrongAnswerError: it is not so.
    """
    if loaded.bad:
        raise WrongAnswerError(f"{name}: {loaded.bad} of {loaded.requests} requests went wrong")
    # Answers that were half read when the load stopped count with their bytes, hence the second term.
    slack = _LENGTH_SLACK_BYTES + CONNECTIONS * warm.bytes_per_request / warm.requests
    if abs(warm.bytes_per_request - loaded.bytes_per_request) > slack:
        raise WrongAnswerError(f"{name}: the length of the answers changed while they were measured")


def _tails(name: str, load: Load, loaded: Loaded, duration_s: int) -> tuple[float, float]:
    """The p99 over the p50 when requests come evenly, at 70 % of the rate that was just measured.

    That of the median slice, and that of all.
    """
    paced = load.run_evenly(CONNECTIONS, duration_s, loaded.rate_per_s * PACED_SHARE)
    require_right(name, loaded, paced)
    return paced.tail, paced.p99_ms / paced.p50_ms
