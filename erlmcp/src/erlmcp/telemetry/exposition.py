"""The ``/metrics`` page: counts of all generations in the Prometheus text format.

The names and labels are a contract with whoever scrapes. What is counted is ``erlmcp.telemetry.meter``, and
sums over workers are ``erlmcp.telemetry.totals``; this only writes them down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from erlmcp.telemetry.meter import BUCKETS_S, Histogram
from erlmcp.telemetry.totals import Counts, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class GenerationMetrics:
    """Everything that is shown of one generation."""

    generation: str
    version: str
    state: str
    workers: int
    restarts: int
    in_flight: int
    connections: int
    streams: int
    resident_memory_bytes: int
    cpu_s: float
    counts: Counts
    stuck: int = 0
    loop_lag_s: float = 0.0
    threads_busy: int = 0
    threads_lost: int = 0
    sessions: int = 0
    subscriptions: int = 0

    @classmethod
    def of_the_past(cls, name: str, totals: Totals) -> GenerationMetrics:
        """Generations that are no longer listed, under one name, so that sums never go back."""
        return cls(
            generation=name,
            version="",
            state="gone",
            workers=0,
            restarts=totals.restarts,
            stuck=totals.stuck,
            in_flight=0,
            connections=0,
            streams=0,
            resident_memory_bytes=0,
            cpu_s=totals.cpu_s,
            counts=totals.with_living([]),
        )


@dataclass(frozen=True)
class CertificateMetrics:
    """What is shown of the certificate that the public listeners prove themselves with.

    Attributes:
        expires_at: when the first certificate of its chain expires, seconds since 1970.
        renewed: how often a new one was taken over.
        refused: how often the files had changed and could not be taken over.
    """

    expires_at: float
    renewed: int
    refused: int


@dataclass(frozen=True)
class BusMetrics:
    """What is shown of the bus between hosts.

    Attributes:
        events: by what became of them: sent, heard, dropped, refused; and gaps.
    """

    is_up: bool
    hosts: int
    round_trip_s: float
    events: Mapping[str, int]


def exposition(
    generations: Sequence[GenerationMetrics],
    erlmcp_version: str,
    certificate: CertificateMetrics | None = None,
    bus: BusMetrics | None = None,
    log_lines_lost: int = 0,
) -> bytes:
    """The page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(generations, erlmcp_version, certificate, bus, log_lines_lost))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(
        self,
        generations: Sequence[GenerationMetrics],
        erlmcp_version: str,
        certificate: CertificateMetrics | None,
        bus: BusMetrics | None,
        log_lines_lost: int,
    ) -> None:
        self._generations = generations
        self._certificate = certificate
        self._erlmcp_version = erlmcp_version
        self._bus = bus
        self._log_lines_lost = log_lines_lost

    def collect(self) -> Iterable[Metric]:
        yield from self._requests()
        yield from self._tools()
        yield from self._dependencies()
        yield from self._gauges()
        yield from self._processes()
        yield from self._event_loops()
        if self._certificate is not None:
            yield from _certificate(self._certificate)
        if self._bus is not None:
            yield from _bus(self._bus)
        lost = CounterMetricFamily(
            "erlmcp_log_lines_lost", "Lines that nobody read in time from the standard error of the server."
        )
        lost.add_metric([], self._log_lines_lost)
        yield lost
        build = GaugeMetricFamily("erlmcp_build_info", "The release of erlmcp.", labels=["version"])
        build.add_metric([self._erlmcp_version], 1)
        yield build

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "erlmcp_requests",
            "Requests that were answered or will get no answer.",
            labels=["generation", "method", "era", "transport", "outcome"],
        )
        durations = HistogramMetricFamily(
            "erlmcp_request_duration_seconds",
            "From the complete request to the last byte of its answer.",
            labels=["generation", "method"],
        )
        rejected = CounterMetricFamily(
            "erlmcp_rejected", "Turned away before the guest was asked.", labels=["generation", "reason"]
        )
        for each in self._generations:
            for labels, count in sorted(each.counts.requests.items()):
                requests.add_metric([each.generation, *labels], count)
            for method, histogram in sorted(each.counts.durations.items()):
                durations.add_metric(
                    [each.generation, method], buckets=_cumulative(histogram), sum_value=histogram.sum_s
                )
            for reason, count in sorted(each.counts.rejected.items()):
                rejected.add_metric([each.generation, reason], count)
        yield requests
        yield durations
        yield rejected
        yield from self._traffic()

    def _traffic(self) -> Iterator[Metric]:
        tokens = CounterMetricFamily(
            "erlmcp_auth",
            "Judgements of access tokens, by what they were.",
            labels=["generation", "outcome"],
        )
        received = CounterMetricFamily(
            "erlmcp_received_bytes", "Bytes that clients have sent.", labels=["generation"]
        )
        sent = CounterMetricFamily("erlmcp_sent_bytes", "Bytes sent to clients.", labels=["generation"])
        for each in self._generations:
            for outcome, count in sorted(each.counts.tokens.items()):
                tokens.add_metric([each.generation, outcome], count)
            received.add_metric([each.generation], each.counts.bytes["received"])
            sent.add_metric([each.generation], each.counts.bytes["sent"])
        yield tokens
        yield received
        yield sent

    def _tools(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "erlmcp_tool_calls",
            "Calls of tools, by how they ended.",
            labels=["generation", "tool", "outcome"],
        )
        durations = HistogramMetricFamily(
            "erlmcp_tool_duration_seconds",
            "From the complete request to the last byte of its answer, by tool.",
            labels=["generation", "tool"],
        )
        for each in self._generations:
            for name, tool in sorted(each.counts.tools.items()):
                for outcome, count in sorted(tool.outcomes.items()):
                    calls.add_metric([each.generation, name, outcome], count)
                buckets = _cumulative(tool)
                durations.add_metric([each.generation, name], buckets=buckets, sum_value=tool.sum_s)
        yield calls
        yield durations

    def _dependencies(self) -> Iterator[Metric]:
        calls = CounterMetricFamily(
            "erlmcp_dependency_calls",
            "Calls of what the guest depends on, by how they ended.",
            labels=["generation", "dependency", "outcome"],
        )
        durations = HistogramMetricFamily(
            "erlmcp_dependency_duration_seconds",
            "How long calls of what the guest depends on took.",
            labels=["generation", "dependency"],
        )
        for each in self._generations:
            for name, found in sorted(each.counts.dependencies.items()):
                for outcome, count in sorted(found.outcomes.items()):
                    calls.add_metric([each.generation, name, outcome], count)
                buckets = _cumulative(found)
                durations.add_metric([each.generation, name], buckets=buckets, sum_value=found.sum_s)
        yield calls
        yield durations
        spans = CounterMetricFamily(
            "erlmcp_spans", "Spans of traces, by what became of them.", labels=["generation", "fate"]
        )
        for each in self._generations:
            for fate, count in sorted(each.counts.spans.items()):
                spans.add_metric([each.generation, fate], count)
        yield spans

    def _gauges(self) -> Iterator[Metric]:
        for name, text, attribute in (
            ("erlmcp_in_flight_requests", "Requests being handled.", "in_flight"),
            ("erlmcp_connections", "Open connections.", "connections"),
            ("erlmcp_streams", "Open streams.", "streams"),
            ("erlmcp_sessions", "Sessions in use.", "sessions"),
            ("erlmcp_subscriptions", "Resources that clients have subscribed to.", "subscriptions"),
            ("erlmcp_threads_busy", "Handlers that run in threads.", "threads_busy"),
            (
                "erlmcp_threads_lost",
                "Handlers that run in threads though their calls are over.",
                "threads_lost",
            ),
            ("erlmcp_workers", "Workers that can serve.", "workers"),
            ("erlmcp_process_resident_memory_bytes", "Memory in RAM, all workers.", "resident_memory_bytes"),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["generation"])
            for each in self._generations:
                gauge.add_metric([each.generation], getattr(each, attribute))
            yield gauge
        info = GaugeMetricFamily(
            "erlmcp_generation_info",
            "What a generation is and where it stands.",
            labels=["generation", "version", "state"],
        )
        for each in self._generations:
            info.add_metric([each.generation, each.version, each.state], 1)
        yield info

    def _processes(self) -> Iterator[Metric]:
        cpu = CounterMetricFamily(
            "erlmcp_process_cpu_seconds", "Processor time, all workers.", labels=["generation"]
        )
        restarts = CounterMetricFamily(
            "erlmcp_worker_restarts", "Workers that died and were replaced.", labels=["generation"]
        )
        collections = CounterMetricFamily(
            "erlmcp_full_collections", "Looks at all objects for garbage, all workers.", labels=["generation"]
        )
        seconds = CounterMetricFamily(
            "erlmcp_full_collection_seconds",
            "How long workers stood still for looks at all objects.",
            labels=["generation"],
        )
        for each in self._generations:
            cpu.add_metric([each.generation], each.cpu_s)
            restarts.add_metric([each.generation], each.restarts)
            collections.add_metric([each.generation], each.counts.full_collections)
            seconds.add_metric([each.generation], each.counts.full_collections_s)
        yield cpu
        yield restarts
        yield collections
        yield seconds

    def _event_loops(self) -> Iterator[Metric]:
        blocks = CounterMetricFamily(
            "erlmcp_event_loop_blocked",
            "How often a call kept an event loop from turning.",
            labels=["generation", "method", "tool"],
        )
        seconds = CounterMetricFamily(
            "erlmcp_event_loop_blocked_seconds",
            "How long calls kept an event loop from turning.",
            labels=["generation", "method", "tool"],
        )
        stuck = CounterMetricFamily(
            "erlmcp_workers_stuck",
            "Workers that were ended because their event loop stood still.",
            labels=["generation"],
        )
        lag = GaugeMetricFamily(
            "erlmcp_event_loop_lag_seconds",
            "The longest that an event loop took to turn lately, of all workers.",
            labels=["generation"],
        )
        for each in self._generations:
            for call, (count, blocked_s) in sorted(each.counts.blocked.items()):
                blocks.add_metric([each.generation, *call], count)
                seconds.add_metric([each.generation, *call], blocked_s)
            stuck.add_metric([each.generation], each.stuck)
            lag.add_metric([each.generation], each.loop_lag_s)
        yield blocks
        yield seconds
        yield stuck
        yield lag


def _certificate(certificate: CertificateMetrics) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "erlmcp_tls_certificate_expiry_timestamp_seconds",
        "When the first certificate of the chain that is served expires, seconds since 1970.",
        certificate.expires_at,
    )
    renewals = CounterMetricFamily(
        "erlmcp_tls_certificate_renewals", "Changes of the files, by what became of them.", labels=["outcome"]
    )
    renewals.add_metric(["taken-over"], certificate.renewed)
    renewals.add_metric(["refused"], certificate.refused)
    yield renewals


def _bus(bus: BusMetrics) -> Iterator[Metric]:
    yield GaugeMetricFamily("erlmcp_bus_up", "Whether other hosts can be heard.", value=float(bus.is_up))
    yield GaugeMetricFamily("erlmcp_bus_hosts", "Other hosts that are heard.", value=bus.hosts)
    yield GaugeMetricFamily(
        "erlmcp_bus_round_trip_seconds", "There and back, the last time.", value=bus.round_trip_s
    )
    events = CounterMetricFamily("erlmcp_bus_events", "What became of events between hosts.", labels=["fate"])
    for fate, count in bus.events.items():
        events.add_metric([fate], count)
    yield events


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """The buckets as Prometheus wants them: each holds all that are faster."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*BUCKETS_S, float("inf")), histogram.buckets, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets
