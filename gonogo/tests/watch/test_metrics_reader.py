"""What of an erlmcp metrics page counts for a watch, read over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.erlmcp_metrics import ErlmcpMetrics
from gonogo.adapters.http import HttpReader
from gonogo.model.errors import GonogoError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READY = '{"status":"ready","components":[{"name":"http","status":"up","critical":true,"detail":""}]}'


def series(name: str, value: float, **labels: str) -> str:
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}"


def page(generation: str = "g2") -> str:
    outcomes = {
        "ok": 90,
        "tool_error": 4,
        "client_error": 50,
        "server_error": 5,
        "timeout": 1,
        "cancelled": 7,
    }
    lines = [
        series(
            "erlmcp_requests_total",
            count,
            generation=generation,
            method="tools/call",
            era="modern",
            transport="http",
            outcome=outcome,
        )
        for outcome, count in outcomes.items()
    ]
    lines.append(
        series(
            "erlmcp_requests_total",
            1000,
            generation="g1",
            method="tools/call",
            era="modern",
            transport="http",
            outcome="server_error",
        )
    )
    for method, count in (("tools/call", 60), ("tools/list", 40), ("subscriptions/listen", 9)):
        for bound in ("0.1", "10", "+Inf"):
            slow = method == "subscriptions/listen" and bound != "+Inf"
            lines.append(
                series(
                    "erlmcp_request_duration_seconds_bucket",
                    0 if slow else count,
                    generation=generation,
                    method=method,
                    le=bound,
                )
            )
    for name, value in (
        ("erlmcp_in_flight_requests", 2),
        ("erlmcp_connections", 12),
        ("erlmcp_process_resident_memory_bytes", 9.1e7),
        ("erlmcp_process_cpu_seconds_total", 3.5),
        ("erlmcp_worker_restarts_total", 1),
    ):
        lines.append(series(name, value, generation=generation))
    kinds = [
        "# TYPE erlmcp_requests_total counter",
        "# TYPE erlmcp_request_duration_seconds histogram",
        "# TYPE erlmcp_process_cpu_seconds_total counter",
        "# TYPE erlmcp_worker_restarts_total counter",
    ]
    # Each family's type must stand right before its series, as in a real page.
    ordered = []
    for line in lines:
        for kind in kinds:
            family = kind.split()[2].removesuffix("_total")
            if line.startswith(family) and kind not in ordered:
                ordered.append(kind)
        ordered.append(line)
    return "\n".join(ordered) + "\n"


def sample(metrics: str, ready: str = READY, status: int = 200, generation: str = "g2"):
    async def run():
        async def serve(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            body, code = (metrics, 200) if b"/metrics" in head else (ready, status)
            data = body.encode()
            writer.write(
                f"HTTP/1.1 {code} X\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode()
                + data
            )
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            async with HttpReader() as http, asyncio.timeout(10):
                return await ErlmcpMetrics(AdminReader(url, http), lambda: NOW).sample(generation)
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


def test_callers_faults_and_cancelled_calls_are_not_requests_of_the_release():
    found = sample(page())
    assert (found.requests, found.errors, found.tool_errors) == (100, 6, 4)


def test_streams_that_stay_open_are_no_latency():
    assert sample(page()).latency_buckets == ((0.1, 100), (10.0, 100), (float("inf"), 100))


def test_gauges_and_restarts_are_those_of_the_generation():
    found = sample(page())
    assert (found.in_flight, found.connections, found.memory_bytes, found.restarts) == (2, 12, 91_000_000, 1)
    assert found.at == NOW


def test_a_service_that_is_not_ready_is_unhealthy():
    assert sample(page()).healthy
    assert not sample(page(), status=503).healthy
    assert not sample(page(), ready=READY.replace('"up"', '"down"')).healthy


@pytest.mark.parametrize("metrics", ["", "not metrics {", page("g7")])
def test_a_page_without_the_generation_is_an_error_and_never_zero(metrics):
    with pytest.raises(GonogoError):
        sample(metrics)
