"""Measures one target once: warm up, load, judge. Repeating and comparing is ``__main__``."""

from __future__ import annotations

from typing import Final

from benchmarks.channels import load
from benchmarks.channels.client import Order
from benchmarks.channels.targets import ChannelTarget
from benchmarks.http import machine
from benchmarks.http.measuring import CONNECTIONS, Sample, require_right, under_load
from benchmarks.http.messages import message_for
from benchmarks.http.serving import running
from benchmarks.http.targets import Mode, Target

DEPTH: Final = 4
"""Calls that each connection keeps under way: a channel that client and server share is used so."""

_PATH: Final = "/ws"
_CALL: Final = message_for(Target("", "", Mode.MODERN)).body


def measure(target: ChannelTarget, *, duration_s: float, warm_up_s: float, depth: int = DEPTH) -> Sample:
    """Start the target, measure it, stop it.

    Raises:
        WrongAnswerError: an answer was not right, or none came.
        StartError: it did not start.
        LoadError: the load generator failed.
    """
    with running(target) as server:

        def order(secs: float, connections: int = CONNECTIONS) -> Order:
            return Order(server.port, target.framing.value, _PATH, connections, depth, secs, _CALL)

        load.run(order(0, 1))  # a server that accepts may still need a moment before it answers
        warm = load.run(order(warm_up_s))
        loaded, cpu_us, noise = under_load(lambda: load.run(order(duration_s)), server.pid)
        require_right(target.name, warm, loaded)
        memory_mb = machine.memory_mb(server.pid)
    return Sample(loaded.rate_per_s, loaded.p50_ms, loaded.p99_ms, cpu_us, noise, memory_mb)
