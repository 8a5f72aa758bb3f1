"""How fast a worker answers calls while thousands of streams are open on it: without, with, without them.

The streams are half ``get``, half ``listen``. Their pings are part of the price and are in the CPU time.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.http.load import Load
from benchmarks.http.measuring import CONNECTIONS, require_right, under_load
from benchmarks.http.messages import check_answer, message_for
from benchmarks.http.serving import Running
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.streams import held


@dataclass(frozen=True)
class Crowded:
    """CPU time of the server for one call in µs: before, with the streams, after; and the worst noise."""

    before_us: float
    crowded_us: float
    after_us: float
    noise: float

    @property
    def speed(self) -> float:
        """The speed with the streams, as a share of that without."""
        return (self.before_us + self.after_us) / 2 / self.crowded_us


def crowded(server: Running, streams: int, duration_s: int) -> Crowded:
    """Measure one server.

    Raises:
        WrongAnswerError: a call went wrong, or a stream was lost.
    """
    message = message_for(Target("", "", Mode.MODERN))
    check_answer(server.port, message, None)
    with tempfile.TemporaryDirectory() as folder:
        load = Load.prepare(Path(folder), server.port, message, [])
        warm = load.run(CONNECTIONS, duration_s)

        def price() -> tuple[float, float]:
            loaded, cpu_us, noise = under_load(lambda: load.run(CONNECTIONS, duration_s), server.pid)
            require_right("erlmcp", warm, loaded)
            return cpu_us, noise

        before = price()
        with held("get", server.port, streams // 2), held("listen", server.port, streams // 2):
            among_them = price()
        after = price()
    return Crowded(before[0], among_them[0], after[0], max(before[1], among_them[1], after[1]))
