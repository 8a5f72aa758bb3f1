"""Adds up what the workers of one generation report, as the metrics page shows it. Starts and asks nobody."""

from __future__ import annotations

from collections.abc import Sequence

from erlmcp.supervisor.process import WorkerProcess
from erlmcp.supervisor.states import State
from erlmcp.telemetry.exposition import GenerationMetrics
from erlmcp.telemetry.totals import Totals


def counted(
    generation_id: str, version: str, state: State, workers: Sequence[WorkerProcess], totals: Totals
) -> GenerationMetrics:
    """The sum over the workers that live and those that have ended.

    The lag is that of the slowest; a worker that says nothing lags for as long. Sessions and what they have
    subscribed to are known to all workers, and counted once.
    """
    reports = [worker.report for worker in workers if worker.report is not None]
    lags_s = [report.loop_lag_s for report in reports]
    return GenerationMetrics(
        generation=generation_id,
        version=version,
        state=state.value,
        workers=len(workers),
        restarts=totals.restarts,
        stuck=totals.stuck,
        in_flight=sum(report.in_flight for report in reports),
        connections=sum(report.connections for report in reports),
        streams=sum(report.streams for report in reports),
        sessions=max((report.sessions for report in reports), default=0),
        subscriptions=max((report.subscriptions for report in reports), default=0)
        + sum(report.channel_subscriptions for report in reports),
        threads_busy=sum(report.threads_busy for report in reports),
        threads_lost=sum(report.threads_lost for report in reports),
        resident_memory_bytes=sum(report.resident_memory_bytes for report in reports),
        cpu_s=totals.cpu_s + sum(report.cpu_s for report in reports),
        loop_lag_s=max([*lags_s, *(worker.silent_s for worker in workers)], default=0.0),
        counts=totals.with_living([report.metrics for report in reports]),
    )
