"""The metrics page: parsed strictly, and turned into the counters that the watch compares."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.adapters.erlmcp_admin import Metrics, MetricsError

AT = datetime(2026, 11, 23, tzinfo=UTC)
PAGE = """\
# TYPE erlmcp_requests_total counter
erlmcp_requests_total{generation="g1",method="tools/call",era="modern",outcome="ok"} 90
erlmcp_requests_total{generation="g1",method="tools/call",era="modern",outcome="tool_error"} 3
erlmcp_requests_total{generation="g1",method="tools/list",era="modern",outcome="server_error"} 4
erlmcp_requests_total{generation="g1",method="tools/list",era="modern",outcome="timeout"} 2
erlmcp_requests_total{generation="g1",method="tools/list",era="modern",outcome="client_error"} 1
erlmcp_requests_total{generation="g2",method="tools/list",era="modern",outcome="server_error"} 50
# TYPE erlmcp_request_duration_seconds histogram
erlmcp_request_duration_seconds_bucket{generation="g1",method="tools/call",le="0.01"} 60
erlmcp_request_duration_seconds_bucket{generation="g1",method="tools/call",le="+Inf"} 93
erlmcp_request_duration_seconds_sum{generation="g1",method="tools/call"} 1.5
erlmcp_request_duration_seconds_count{generation="g1",method="tools/call"} 93
erlmcp_request_duration_seconds_bucket{generation="g1",method="tools/list",le="0.01"} 5
erlmcp_request_duration_seconds_bucket{generation="g1",method="tools/list",le="+Inf"} 7
erlmcp_request_duration_seconds_sum{generation="g1",method="tools/list"} 0.5
erlmcp_request_duration_seconds_count{generation="g1",method="tools/list"} 7
# TYPE erlmcp_in_flight_requests gauge
erlmcp_in_flight_requests{generation="g1"} 2
# TYPE erlmcp_connections gauge
erlmcp_connections{generation="g1"} 5
# TYPE erlmcp_process_resident_memory_bytes gauge
erlmcp_process_resident_memory_bytes{generation="g1"} 5e7
# TYPE erlmcp_process_cpu_seconds_total counter
erlmcp_process_cpu_seconds_total{generation="g1"} 1.25
# TYPE erlmcp_generation_info gauge
erlmcp_generation_info{generation="g1",version="1.0.0",state="active"} 1
erlmcp_generation_info{generation="g2",version="1.1.0",state="staged"} 1
"""


def test_a_sample_counts_one_generation_and_only_its_servers_faults_as_errors():
    sample = Metrics.parse(PAGE).sample("g1", at=AT, healthy=True)
    assert (sample.requests, sample.errors) == (100, 6)
    assert sample.latency_buckets == ((0.01, 65), (float("inf"), 100))
    assert (sample.in_flight, sample.connections, sample.memory_bytes, sample.cpu_s) == (
        2,
        5,
        50_000_000,
        1.25,
    )


def test_the_active_generation_is_the_one_marked_so():
    assert Metrics.parse(PAGE).active_generation() == "g1"
    both = PAGE.replace('state="staged"', 'state="active"')
    assert Metrics.parse(both).active_generation() is None
    assert Metrics.parse(PAGE.replace('state="active"', 'state="warm"')).active_generation() is None


@pytest.mark.parametrize(
    "family", ["in_flight_requests", "connections", "process_resident_memory", "process_cpu"]
)
def test_a_sample_without_one_of_its_families_is_a_fault_and_not_zero(family):
    page = "".join(line for line in PAGE.splitlines(keepends=True) if family not in line)
    with pytest.raises(MetricsError, match="no series"):
        Metrics.parse(page).sample("g1", at=AT, healthy=True)


def test_an_unknown_generation_is_a_fault():
    with pytest.raises(MetricsError):
        Metrics.parse(PAGE).sample("g9", at=AT, healthy=True)


@pytest.mark.parametrize(
    "line",
    [
        "erlmcp_connections{generation=",
        "erlmcp_connections one",
        'erlmcp_connections{generation="g1"} 6',
        "a{b} 1",
    ],
)
def test_a_page_with_one_bad_line_is_refused_whole(line):
    with pytest.raises(MetricsError):
        Metrics.parse(PAGE + line + "\n")


def test_a_counter_that_is_not_a_number_is_refused():
    with pytest.raises(MetricsError, match="NaN"):
        Metrics.parse(PAGE.replace('outcome="ok"} 90', 'outcome="ok"} NaN'))


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text):
    try:
        Metrics.parse(text)
    except MetricsError:
        return
