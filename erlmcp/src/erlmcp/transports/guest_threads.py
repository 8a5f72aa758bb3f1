"""The threads in which plain ``def`` handlers run: how many there may be, are busy, and never came back.

A thread cannot be ended. When the time of its call is over, or the client has left, the call is answered and
the thread goes on: it is lost until the handler returns. This counts them; who replaces a worker that has
lost too many is ``erlmcp.supervisor.crew``.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Final

import anyio.to_thread
import msgspec

from erlmcp.telemetry.logs import Log

_POOL_NAME: Final = "AnyIO worker thread"
_POOL_RUN: Final = "WorkerThread.run"

log = Log(__name__)


class ThreadCounts(msgspec.Struct, frozen=True):
    """Of one worker.

    Attributes:
        busy: threads that run a handler whose call still waits for it.
        lost: threads that run a handler whose call is over.
        waiting: calls that wait for a thread.
    """

    busy: int = 0
    lost: int = 0
    waiting: int = 0


class GuestThreads:
    """Those of one worker. Make it in its event loop, before the guest starts.

    Args:
        most: how many handlers may run in threads at one time; more wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter = anyio.to_thread.current_default_thread_limiter()
        self._limiter.total_tokens = most
        executor = ThreadPoolExecutor(most, thread_name_prefix="guest")
        asyncio.get_running_loop().set_default_executor(executor)
        self._told_full = False

    def count(self) -> ThreadCounts:
        """How they stand now. Logs when the last one was taken and calls begin to wait."""
        busy = int(self._limiter.borrowed_tokens)
        waiting = self._limiter.statistics().tasks_waiting
        counts = ThreadCounts(busy, max(0, _running() - busy), waiting)
        full = waiting > 0
        if full and not self._told_full:
            log.warning(
                "threads.all-taken",
                **msgspec.structs.asdict(counts),
                limit=self._most,
                hint="give what the handlers wait for a timeout, or raise max_threads",
            )
        self._told_full = full
        return counts

    def is_worn(self, counts: ThreadCounts) -> bool:
        """Whether as many threads are lost as may be busy: then a worker without them should take over."""
        return counts.lost >= self._most


def _running() -> int:
    """Threads of AnyIO's pool that are in a handler."""
    pool = {thread.ident for thread in threading.enumerate() if thread.name == _POOL_NAME}
    if not pool:
        return 0
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    return sum(ident in pool and not _is_idle(frame) for ident, frame in frames.items())


def _is_idle(frame: FrameType | None) -> bool:
    """Whether a thread of the pool waits for work: its queue is what its ``run`` has called."""
    inner: FrameType | None = None
    while frame is not None and frame.f_code.co_qualname != _POOL_RUN:
        inner, frame = frame, frame.f_back
    return frame is None or (inner is not None and inner.f_globals.get("__name__") == "queue")
