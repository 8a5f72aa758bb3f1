"""The master gives way to its workers, where they share a processor.

It relays the log of a busy worker many times a second, and each time the kernel would let it in at once: a
request that had just come waited for it, one in fifty at 70 % of a core. As a batch process (sched(7)) it has
the same share of the processor, and takes it when no worker is at work. What it starts is to run as the
master was started itself, so ``erlmcp.supervisor.process`` sets that back for each worker.
"""

from __future__ import annotations

import contextlib
import os

_started_with: int | None = None
"""How this process was scheduled before it gave way; None if it has not."""


def give_way() -> None:
    """Run this process as a batch process from now on, if it is an ordinary one and that is allowed."""
    global _started_with  # noqa: PLW0603 - it is a property of the process
    with contextlib.suppress(OSError):
        usual = os.sched_getscheduler(0)
        if usual == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            _started_with = usual


def run_as_usual(pid: int) -> None:
    """Schedule a process that was just started as this one was before it gave way."""
    if _started_with is not None:
        with contextlib.suppress(OSError):  # it is gone already
            os.sched_setscheduler(pid, _started_with, os.sched_param(0))
