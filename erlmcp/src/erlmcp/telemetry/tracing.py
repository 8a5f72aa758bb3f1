"""Sends spans over OTLP/HTTP, without secrets in them. The spans themselves are made by the SDK.

Nothing of OpenTelemetry is imported before ``start``. What the sampler and the exporter did is counted, so
that the share that was really recorded can be seen.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.trace_settings import TraceSettings
from erlmcp.telemetry.redaction import MAX_TEXT, Redaction

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler

SEND_INTERVAL_MS: Final = 1_000
FLUSH_TIMEOUT_S: Final = 1.0
"""How long the last spans may take at the end of a worker."""


class Tracing:
    """Of one worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fates: Counter[str] = Counter()
        self._provider: Any = None

    def count(self, fate: str, spans: int = 1) -> None:
        """What became of spans: sampled or unsampled, and then sent or failed."""
        with self._lock:
            self._fates[fate] += spans

    def snapshot(self) -> dict[str, Any]:
        """All totals so far, JSON-able."""
        with self._lock:
            return {"spans": dict(self._fates)}

    def begin(self, provider: Any) -> None:
        """This provider is in force."""
        self._provider = provider

    def close(self) -> None:
        """Send what is left, within a short time; may block for that."""
        if self._provider is not None:
            self._provider.force_flush(int(FLUSH_TIMEOUT_S * 1_000))


def start(settings: TraceSettings, redaction: Redaction, *, service: str, instance: str) -> Tracing:
    """Record spans from now on; before the guest is loaded, so that it is compiled for that.

    Raises:
        ErlmcpError: config.otel-missing.
    """
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as fault:
        raise ErlmcpError(
            "config.otel-missing",
            f"trace.endpoint is set, got {fault}; expected the packages of the extra otel",
            hint="pip install 'erlmcp[otel]' in the interpreter of the generation, or empty trace.endpoint",
            exit_code=1,
        ) from fault
    tracing = Tracing()
    sampler = _counting_sampler(ParentBased(TraceIdRatioBased(settings.sample)), tracing)
    resource = Resource.create({"service.name": service, "service.instance.id": instance})
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout_s)
    provider.add_span_processor(
        BatchSpanProcessor(
            _clean_exporter(exporter, redaction, tracing), schedule_delay_millis=SEND_INTERVAL_MS
        )
    )
    trace.set_tracer_provider(provider)
    tracing.begin(provider)
    return tracing


def enter(traceparent: bytes | None, tracestate: bytes | None) -> None:
    """Go on with the trace that HTTP header fields tell of; one in ``_meta`` comes before it."""
    if traceparent is None:
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent.decode("latin-1")}
    if tracestate is not None:
        carrier["tracestate"] = tracestate.decode("latin-1")
    context.attach(TraceContextTextMapPropagator().extract(carrier))


def _counting_sampler(sampler: Sampler, tracing: Tracing) -> Sampler:
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.sdk.trace.sampling import Sampler as Base

    class Counting(Base):
        def should_sample(self, *args: Any, **kwargs: Any) -> Any:
            result = sampler.should_sample(*args, **kwargs)
            tracing.count("unsampled" if result.decision is Decision.DROP else "sampled")
            return result

        def get_description(self) -> str:
            return sampler.get_description()

    return Counting()


def _clean_exporter(exporter: SpanExporter, redaction: Redaction, tracing: Tracing) -> SpanExporter:
    from opentelemetry.sdk.trace.export import SpanExporter as Base
    from opentelemetry.sdk.trace.export import SpanExportResult

    class Clean(Base):
        def export(self, spans: Any) -> SpanExportResult:
            result = exporter.export([_cleaned(span, redaction) for span in spans])
            tracing.count("sent" if result is SpanExportResult.SUCCESS else "failed", len(spans))
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Clean()


def _cleaned(span: ReadableSpan, redaction: Redaction) -> ReadableSpan:
    """The same span without secrets: an exception's text is the guest's."""
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.trace import ReadableSpan as Made
    from opentelemetry.trace import Status

    said = span.status.description
    return Made(
        name=redaction.text(span.name)[:MAX_TEXT],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=redaction.clean(dict(span.attributes or {})),
        events=[
            Event(event.name, redaction.clean(dict(event.attributes or {})), event.timestamp)
            for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, redaction.text(said)[:MAX_TEXT] if said else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
