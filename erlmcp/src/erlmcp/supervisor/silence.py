"""Ends a worker that has not reported for too long: nothing in it can run, not even the thread that watches.

A worker reports each second. One whose event loop stands still ends itself
(``erlmcp.telemetry.loop_watch``), unless a guest holds the interpreter in code that is not Python. Time is
counted in our own wake-ups: if this process was stopped or starved, that is no silence of the worker's.
"""

from __future__ import annotations

import asyncio
from typing import Final

from erlmcp.supervisor.process import WorkerProcess
from erlmcp.telemetry.logs import Log

LOOK_INTERVAL_S: Final = 1.0
USUAL_S: Final = 2
"""Looks without a report that mean nothing yet: one may fall between two reports."""
GRACE_S: Final = 5.0
"""How much later than the worker itself would do it."""
LAST_WORDS_S: Final = 0.5
"""How long a worker has to write where it hangs."""

log = Log(__name__)


async def mind(worker: WorkerProcess, *, limit_s: float) -> None:
    """Keep ``worker.silent_s``, and end the worker when it is over the limit and some grace.

    Args:
        limit_s: zero means that it is never ended.
    """
    heard, looks = worker.reports, 0
    while True:
        await asyncio.sleep(LOOK_INTERVAL_S)
        looks = looks + 1 if worker.reports == heard else 0
        heard = worker.reports
        worker.silent_s = looks * LOOK_INTERVAL_S if looks > USUAL_S else 0.0
        if limit_s and worker.silent_s > limit_s + GRACE_S:
            break
    log.error("worker.silent", worker=worker.pid, silent_s=worker.silent_s)
    worker.stuck = True
    worker.ask_where()
    await asyncio.sleep(LAST_WORDS_S)
    worker.kill()
