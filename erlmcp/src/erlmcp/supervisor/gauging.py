"""Gathers what the metrics page shows of limits and of the place where the server runs.

Counts are ``erlmcp.supervisor.counting``; reading the place is ``erlmcp.telemetry.place``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from erlmcp.config.schema import Settings
from erlmcp.supervisor.process import WorkerProcess
from erlmcp.telemetry import place
from erlmcp.telemetry.capacity import Capacity, GenerationLimits
from erlmcp.telemetry.descriptors import connections_that_fit


class Gauging:
    """Of one server.

    Args:
        log_file: path of the log; empty when it is standard error.
    """

    def __init__(self, started_at: datetime, log_file: str) -> None:
        folders = {"work": Path.cwd(), **({"log": Path(log_file).absolute().parent} if log_file else {})}
        self._started_at = started_at.timestamp()
        self._volumes = place.Volumes(folders)

    async def read(
        self, components: Sequence[Mapping[str, Any]], generations: Iterable[GenerationLimits]
    ) -> Capacity:
        """Everything as it is now."""
        return Capacity(
            started_at=self._started_at,
            components=components,
            generations=list(generations),
            memory=place.memory(),
            cores=place.cores(),
            volumes=await self._volumes.read(),
        )


def limits(generation_id: str, settings: Settings, workers: Sequence[WorkerProcess]) -> GenerationLimits:
    """What the workers of one generation may hold together."""
    read = [found for worker in workers if (found := place.descriptors(worker.pid)) is not None]
    return GenerationLimits(
        generation=generation_id,
        connections=connections_that_fit(settings.http.max_connections) * len(workers),
        streams=settings.mcp.max_streams * len(workers),
        in_flight=settings.limits.max_in_flight * len(workers),
        threads=settings.max_threads * len(workers),
        descriptors=min(read, key=lambda each: each.limit - each.open, default=None),
    )
