"""The second part of the ``/metrics`` page: whether the parts work, and how near the server is to its limits.

The names and labels are a contract with whoever scrapes; alert rules are built on them. What was counted
is ``erlmcp.telemetry.exposition``; reading the place is ``erlmcp.telemetry.place``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from erlmcp.telemetry.place import Descriptors, Memory, Volume


@dataclass(frozen=True)
class GenerationLimits:
    """What the workers of one generation may hold together.

    Attributes:
        descriptors: of the worker that has the fewest left; None when none could be read.
    """

    generation: str
    connections: int
    streams: int
    in_flight: int
    threads: int
    descriptors: Descriptors | None


@dataclass(frozen=True)
class Capacity:
    """Everything that this part shows.

    Attributes:
        started_at: when the master started, seconds since 1970.
        components: as ``/ready`` tells them.
        cores: how many processors may be used at one time.
    """

    started_at: float
    components: Sequence[Mapping[str, Any]]
    generations: Sequence[GenerationLimits]
    memory: Sequence[Memory]
    cores: float
    volumes: Sequence[Volume]


def capacity_page(capacity: Capacity) -> bytes:
    """The part of the page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(capacity))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity

    def collect(self) -> Iterable[Metric]:
        yield from self._server()
        yield from self._limits()
        yield from self._descriptors()
        yield from self._place()

    def _server(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "erlmcp_start_time_seconds", "When the server started, since 1970.", self._capacity.started_at
        )
        up = GaugeMetricFamily(
            "erlmcp_component_up",
            "Whether a part works, as /ready tells; one that drains does not.",
            labels=["component", "critical"],
        )
        for each in self._capacity.components:
            labels = [each["name"], "true" if each["critical"] else "false"]
            up.add_metric(labels, float(each["status"] == "up"))
        yield up

    def _limits(self) -> Iterator[Metric]:
        for name, text, attribute in (
            ("erlmcp_connections_limit", "Connections that may be open.", "connections"),
            ("erlmcp_streams_limit", "Streams that may be open.", "streams"),
            ("erlmcp_in_flight_requests_limit", "Requests that may be handled at one time.", "in_flight"),
            ("erlmcp_threads_limit", "Handlers that may run in threads at one time.", "threads"),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["generation"])
            for each in self._capacity.generations:
                gauge.add_metric([each.generation], getattr(each, attribute))
            yield gauge

    def _descriptors(self) -> Iterator[Metric]:
        opened = GaugeMetricFamily(
            "erlmcp_process_open_fds",
            "Open descriptors of the worker that has the fewest left.",
            labels=["generation"],
        )
        limit = GaugeMetricFamily(
            "erlmcp_process_max_fds", "How many that worker may have.", labels=["generation"]
        )
        for each in self._capacity.generations:
            if each.descriptors is not None:
                opened.add_metric([each.generation], each.descriptors.open)
                limit.add_metric([each.generation], each.descriptors.limit)
        yield opened
        yield limit

    def _place(self) -> Iterator[Metric]:
        used = GaugeMetricFamily(
            "erlmcp_memory_used_bytes", "Memory that cannot simply be taken back.", labels=["bound"]
        )
        limit = GaugeMetricFamily(
            "erlmcp_memory_limit_bytes", "Memory of the machine or control group.", labels=["bound"]
        )
        for memory in self._capacity.memory:
            used.add_metric([memory.bound], memory.used_bytes)
            limit.add_metric([memory.bound], memory.limit_bytes)
        yield used
        yield limit
        yield GaugeMetricFamily(
            "erlmcp_cpu_cores", "Processors that may be used at one time.", self._capacity.cores
        )
        free = GaugeMetricFamily("erlmcp_disk_free_bytes", "Free on a file system.", labels=["volume"])
        size = GaugeMetricFamily("erlmcp_disk_size_bytes", "Size of a file system.", labels=["volume"])
        for volume in self._capacity.volumes:
            free.add_metric([volume.name], volume.free_bytes)
            size.add_metric([volume.name], volume.size_bytes)
        yield free
        yield size
