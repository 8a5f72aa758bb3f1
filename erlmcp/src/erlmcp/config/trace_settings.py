"""The section [trace] of the configuration. What it means is ``erlmcp.telemetry.tracing``."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from erlmcp.config.section import Section
from erlmcp.config.urls import loopback_or_https

_Url = Annotated[str, AfterValidator(loopback_or_https)]


class TraceSettings(Section):
    """Spans of OpenTelemetry, one for each request, sent over OTLP/HTTP. Off without an endpoint."""

    endpoint: _Url = Field(
        "",
        description="Where spans are sent, such as http://127.0.0.1:4318/v1/traces; https, or loopback. Needs"
        " the extra erlmcp[otel]. Empty means no traces, and nothing for them is loaded.",
    )
    sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the traces that begin here and are recorded; of one that began elsewhere, its"
        " beginning decides.",
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="How long the endpoint may take, seconds.")
