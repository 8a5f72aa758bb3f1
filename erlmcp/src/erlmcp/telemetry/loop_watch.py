"""Notices when the event loop stands still: a handler that computes or waits without giving it a turn.

A thread asks the loop for a turn a few times a second and looks at the clock; the request path does nothing
for it. It counts only time in which this process ran: one that was stopped or starved is not blocked by its
guest. What is running, it learns from a function that is passed in; it knows no guests and ends no process.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from math import inf
from typing import Final

import msgspec

from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.meter import Meter

MAX_INTERVAL_S: Final = 0.25
"""How often the loop is asked for a turn, at least."""
QUIET_S: Final = 10.0
"""The same call is logged again after so long, with the number of lines that were left out."""
LAG_WINDOW_S: Final = 10.0
_MAX_REMEMBERED: Final = 256
_RAN: Final = 0.5
"""Part of a gap in which the process must have used a processor for the whole gap to count as its own."""

log = Log(__name__)


class Running(msgspec.Struct, frozen=True):
    """What the loop's thread is doing.

    Attributes:
        method: the MCP method, ``http`` for a route of the guest, ``thread`` when the loop waits for another
            thread to let go of the interpreter, else ``unknown``.
        tool: name of the tool or prompt; empty where there is none.
        place: file, line and function in the guest's code.
        innermost: the same where the thread really is.
    """

    method: str
    tool: str
    place: str
    innermost: str


UNKNOWN: Final = Running("unknown", "", "", "")


class LoopWatch:
    """The thread that watches one event loop.

    Args:
        loop: the loop.
        look: what its thread is doing now; called from the watching thread.
        meter: where blocked time is counted.
        warn_s: a loop that has not turned for so long is blocked, seconds; 0 means never.
        exit_s: one that has not turned for so long will never, seconds; 0 means never.
        on_stuck: what to do about that, in the watching thread. The log has been told why.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look: Callable[[], Running],
        meter: Meter,
        *,
        warn_s: float,
        exit_s: float,
        on_stuck: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._look = look
        self._meter = meter
        self._warn_s = warn_s or inf
        self._exit_s = exit_s or inf
        self._on_stuck = on_stuck
        self._interval_s = max(0.01, min(MAX_INTERVAL_S, self._warn_s / 4, self._exit_s / 4))
        self._turned = threading.Event()
        self._stopping = threading.Event()
        self._lag = _Peak()
        self._logged: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._watch, name="erlmcp-loop-watch", daemon=True)

    @property
    def lag_s(self) -> float:
        """The longest that the loop took to turn in the last 10 to 20 seconds."""
        return self._lag.value

    def start(self) -> None:
        """Begin to watch, unless there is nothing to watch for."""
        if min(self._warn_s, self._exit_s) < inf:
            self._thread.start()

    def stop(self) -> None:
        """Watch no more; does not wait for the thread."""
        self._stopping.set()

    def _watch(self) -> None:
        clock = _OwnTime(self._interval_s)
        while not self._stopping.wait(self._interval_s):
            late_s = max(0.0, clock.elapsed_s() - self._interval_s)
            seen = self._see() if late_s >= self._warn_s / 2 else UNKNOWN
            self._turned.clear()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:
                return  # the loop is closed
            self._await_turn(clock, late_s, seen)

    def _await_turn(self, clock: _OwnTime, waited_s: float, seen: Running) -> None:
        """Wait until the loop has turned once, and say who keeps it from it.

        Args:
            waited_s: how long somebody has held the interpreter already, so that not even this thread ran.
            seen: what the loop's thread was doing then.
        """
        running: Running | None = None
        turned = False
        while not turned and not self._stopping.is_set():
            turned = self._turned.wait(self._interval_s)
            waited_s += clock.elapsed_s()
            self._lag.note(waited_s)
            if not turned and running is None and waited_s >= self._warn_s / 2:
                seen = self._see()
            if running is None and waited_s >= self._warn_s:
                running = seen
                self._tell(running, waited_s)
            if not turned and waited_s >= self._exit_s:
                self._give_up(waited_s)
                return
        if running is not None:
            self._meter.blocked(running.method, running.tool, waited_s)

    def _tell(self, running: Running, waited_s: float) -> None:
        key = (running.method, running.tool, running.place)
        now = time.monotonic()
        last, left_out = self._logged.get(key, (-inf, 0))
        if now - last < QUIET_S:
            self._logged[key] = (last, left_out + 1)
            return
        if len(self._logged) >= _MAX_REMEMBERED:
            self._logged.clear()
        self._logged[key] = (now, 0)
        log.warning(
            "event-loop.blocked",
            **msgspec.structs.asdict(running),
            blocked_s=round(waited_s, 3),
            lines_left_out=left_out,
            hint="make the handler a plain def, which runs in a thread, or await what takes long",
        )

    def _give_up(self, waited_s: float) -> None:
        log.error("event-loop.stuck", **msgspec.structs.asdict(self._see()), blocked_s=round(waited_s, 3))
        self._on_stuck()

    def _see(self) -> Running:
        """What the loop's thread is doing; the watch goes on if that cannot be told."""
        try:
            return self._look()
        except Exception:
            log.exception("event-loop.not-seen")
            return UNKNOWN


class _OwnTime:
    """Time in which this process ran or could have run.

    The watching thread wakes each interval. If it wakes much later, either the whole process was stopped, or
    somebody held the interpreter and used a processor meanwhile; only that counts.
    """

    def __init__(self, interval_s: float) -> None:
        self._most_s = 2 * interval_s
        self._at = time.monotonic()
        self._cpu = time.process_time()

    def elapsed_s(self) -> float:
        """Seconds since the last call."""
        at, cpu = time.monotonic(), time.process_time()
        gap_s, used_s = at - self._at, cpu - self._cpu
        self._at, self._cpu = at, cpu
        return gap_s if used_s >= _RAN * gap_s else max(used_s, min(gap_s, self._most_s))


class _Peak:
    """The greatest value of the last one to two windows."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._now = 0.0
        self._before = 0.0

    def note(self, value: float) -> None:
        """One more value."""
        self._roll()
        self._now = max(self._now, value)

    @property
    def value(self) -> float:
        """The greatest."""
        self._roll()
        return max(self._now, self._before)

    def _roll(self) -> None:
        age_s = time.monotonic() - self._began
        if age_s >= LAG_WINDOW_S:
            self._before = self._now if age_s < 2 * LAG_WINDOW_S else 0.0
            self._now = 0.0
            self._began += age_s
