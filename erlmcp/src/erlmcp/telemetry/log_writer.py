"""Writes whole lines to a descriptor and never waits for whoever reads them.

A terminal, a pipe or a journal that is not read on would else hold up the process that writes, and behind it
every request. What they do not take is kept, up to a bound, until a thread has written it; beyond that lines
are lost, counted, and a line says how many. A reader that is gone loses lines, too. A regular file takes
everything at once. What a line is, is ``erlmcp.telemetry.logs``.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""Lines that wait for their reader: half a second of the access log at 60,000 requests a second."""

_TAKEN_AT_ONCE: Final = select.PIPE_BUF
"""What can be written without waiting to something that says it can be written to."""
_LOOK_AGAIN_MS: Final = 1_000

_ALL: Final[WeakSet[LogWriter]] = WeakSet()


class LogWriter:
    """The writing side of one descriptor, for all threads of the process.

    Args:
        descriptor: the same number for good; what is behind it may change.
        lost_line: what is written when so many lines have been lost.
    """

    def __init__(self, descriptor: int, lost_line: Callable[[int], bytes] = lambda _: b"") -> None:
        self.descriptor = descriptor
        self.lost = 0
        """Lines that were lost because too many waited."""
        self._lost_line = lost_line
        self._untold = 0
        self._may_wait = _may_wait(descriptor)
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._drained = threading.Condition(self._lock)
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        _ALL.add(self)

    def write_line(self, line: str) -> None:
        """Append one line, or several that have ends between them."""
        self.write(line.encode("utf-8", "replace") + b"\n")

    def write(self, data: bytes) -> None:
        """Append whole lines."""
        with self._lock:
            rest = data if self._waiting else self._write_now(data)
            if rest:
                self._keep(rest)

    def flush(self, timeout_s: float) -> None:
        """Wait until everything is written, but no longer than this."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            self._drained.wait_for(lambda: not self._waiting, max(0.0, deadline - time.monotonic()))

    def forget_parent(self) -> None:
        """In a forked process nobody writes what waits, and a lock that another thread held stays closed."""
        self._lock = threading.Lock()
        self._drained = threading.Condition(self._lock)
        self._waiting.clear()
        self._waiting_bytes = 0

    def _write_now(self, data: bytes) -> bytes:
        """Write what is taken without waiting; what is left."""
        try:
            while data:
                if self._may_wait and not self._poll.poll(0):
                    return data
                data = data[os.write(self.descriptor, _piece(data) if self._may_wait else data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""
        return b""

    def _keep(self, data: bytes) -> None:
        is_first = not self._waiting
        if not is_first and self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
            lines = data.count(b"\n")
            self.lost += lines
            self._untold += lines
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if is_first:
            threading.Thread(target=self._drain, name="erlmcp-log-writer", daemon=True).start()

    def _drain(self) -> None:
        """Write what waits as it is taken, in a thread that ends with the last of it."""
        taken = select.poll()
        taken.register(self.descriptor, select.POLLOUT)
        while True:
            taken.poll(_LOOK_AGAIN_MS)
            with self._lock:
                if self._write_first():
                    self._drained.notify_all()
                    return

    def _write_first(self) -> bool:
        """Write the first that waits, as far as it is taken; whether none is left."""
        first = self._waiting[0]
        rest = self._write_now(first)
        self._waiting_bytes += len(rest) - len(first)
        if rest:
            self._waiting[0] = rest
            return False
        self._waiting.popleft()
        if self._untold and (told := self._lost_line(self._untold)):
            self._untold = 0
            self._waiting.append(told)
            self._waiting_bytes += len(told)
        return not self._waiting


def _piece(data: bytes) -> bytes:
    """So much of it as is taken at once, to the end of a line if one is in it."""
    if len(data) <= _TAKEN_AT_ONCE:
        return data
    return data[: data.rfind(b"\n", 0, _TAKEN_AT_ONCE) + 1 or _TAKEN_AT_ONCE]


def _may_wait(descriptor: int) -> bool:
    """Whether a write may wait for a reader: not to a file, nor to what was opened not to wait."""
    try:
        return os.get_blocking(descriptor) and not stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return True


def _after_fork() -> None:
    for writer in list(_ALL):
        writer.forget_parent()


os.register_at_fork(after_in_child=_after_fork)
