"""Sums over workers and the page that shows them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from erlmcp.telemetry.exposition import CertificateMetrics, GenerationMetrics, exposition
from erlmcp.telemetry.meter import BUCKETS_S, MAX_BLOCKERS, Meter
from erlmcp.telemetry.totals import Totals


def _meter(calls=1, seconds=0.003):
    meter = Meter()
    for _ in range(calls):
        meter.finished("tools/call", "modern", "http", "ok", seconds)
    meter.rejected("host")
    return meter


def _samples(*generations):
    page = exposition(generations, "9.9").decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def _shown(totals, living):
    return GenerationMetrics("g1", "1.0.0", "active", 2, 1, 3, 4, 5, 6, 7.5, totals.with_living(living))


def test_the_page_has_exactly_the_names_of_the_contract():
    page = exposition([_shown(Totals(), [_meter().snapshot()])], "9.9").decode()
    names = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    assert names == {
        "erlmcp_requests_total",
        "erlmcp_request_duration_seconds",
        "erlmcp_in_flight_requests",
        "erlmcp_connections",
        "erlmcp_streams",
        "erlmcp_rejected_total",
        "erlmcp_auth_total",
        "erlmcp_received_bytes_total",
        "erlmcp_sent_bytes_total",
        "erlmcp_sessions",
        "erlmcp_subscriptions",
        "erlmcp_spans_total",
        "erlmcp_dependency_calls_total",
        "erlmcp_dependency_duration_seconds",
        "erlmcp_tool_calls_total",
        "erlmcp_tool_duration_seconds",
        "erlmcp_process_resident_memory_bytes",
        "erlmcp_process_cpu_seconds_total",
        "erlmcp_generation_info",
        "erlmcp_worker_restarts_total",
        "erlmcp_event_loop_blocked_total",
        "erlmcp_event_loop_blocked_seconds_total",
        "erlmcp_event_loop_lag_seconds",
        "erlmcp_workers_stuck_total",
        "erlmcp_threads_busy",
        "erlmcp_threads_lost",
        "erlmcp_workers",
        "erlmcp_build_info",
        "erlmcp_log_lines_lost_total",
        "erlmcp_full_collections_total",
        "erlmcp_full_collection_seconds_total",
    }


def test_the_living_and_the_dead_are_added_up():
    totals = Totals()
    totals.keep(_meter(5).snapshot(), cpu_s=1.0)
    samples = _samples(_shown(totals, [_meter(2).snapshot(), _meter(3).snapshot()]))
    labels = (
        ("era", "modern"),
        ("generation", "g1"),
        ("method", "tools/call"),
        ("outcome", "ok"),
        ("transport", "http"),
    )
    assert samples["erlmcp_requests_total", *labels] == 10
    assert samples["erlmcp_rejected_total", ("generation", "g1"), ("reason", "host")] == 3
    count = ("erlmcp_request_duration_seconds_count", ("generation", "g1"), ("method", "tools/call"))
    assert samples[count] == 10


def test_looks_of_the_garbage_collector_are_added_up():
    totals = Totals()
    totals.keep({"full_collections": [3, 0.25]}, cpu_s=1.0)
    samples = _samples(_shown(totals, [{"full_collections": [2, 0.5]}, _meter().snapshot()]))
    assert samples["erlmcp_full_collections_total", ("generation", "g1")] == 5
    assert samples["erlmcp_full_collection_seconds_total", ("generation", "g1")] == 0.75


def test_buckets_are_cumulative_and_end_with_everything():
    meter = Meter()
    for seconds in (0.0004, BUCKETS_S[0], 0.3, 99.0):
        meter.finished("ping", "modern", "http", "ok", seconds)
    samples = _samples(_shown(Totals(), [meter.snapshot()]))

    def bucket(bound):
        name = "erlmcp_request_duration_seconds_bucket"
        return samples[name, ("generation", "g1"), ("le", bound), ("method", "ping")]

    assert [bucket("0.0005"), bucket("0.25"), bucket("0.5"), bucket("10.0"), bucket("+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]


def test_a_label_cannot_break_out_of_its_line():
    shown = GenerationMetrics("g1", 'a"\nevil 1', "active", 0, 0, 0, 0, 0, 0, 0, Totals().with_living([]))
    info = [key for key in _samples(shown) if key[0] == "erlmcp_generation_info"]
    assert info == [
        ("erlmcp_generation_info", ("generation", "g1"), ("state", "active"), ("version", 'a"\nevil 1'))
    ]


def test_blocks_of_the_dead_stay_and_names_are_bounded_over_all_workers():
    totals, shown = Totals(), None
    for worker in range(3):
        meter = Meter()
        for number in range(MAX_BLOCKERS):
            meter.blocked("tools/call", f"w{worker}t{number}", 2.0)
        totals.keep(meter.snapshot(), cpu_s=0.0)
    shown = _samples(_shown(totals, []))
    blocks = {key: value for key, value in shown.items() if key[0] == "erlmcp_event_loop_blocked_total"}
    assert len(blocks) == MAX_BLOCKERS + 1
    assert sum(blocks.values()) == 3 * MAX_BLOCKERS
    seconds = [value for key, value in shown.items() if key[0] == "erlmcp_event_loop_blocked_seconds_total"]
    assert sum(seconds) == 6.0 * MAX_BLOCKERS


def test_forgotten_generations_go_on_under_one_name():
    first, second, older = Totals(), Totals(), Totals()
    for totals in (first, second):
        totals.keep(_meter(4).snapshot(), cpu_s=2.0)
        totals.restarts = 1
        older.add(totals)
    shown = GenerationMetrics.of_the_past("older", older)
    assert (shown.cpu_s, shown.restarts, sum(shown.counts.requests.values())) == (4.0, 2, 8)


@given(st.lists(st.sampled_from(["call", "die", "start"]), max_size=40))
def test_a_counter_never_goes_back_whatever_happens_to_the_workers(events):
    totals, living, before = Totals(), [Meter()], 0
    for event in events:
        if event == "call" and living:
            living[-1].finished("ping", "modern", "http", "ok", 0.1)
        elif event == "die" and living:
            totals.keep(living.pop(0).snapshot(), cpu_s=0.1)
        elif event == "start":
            living.append(Meter())
        now = totals.with_living([each.snapshot() for each in living])
        shown = sum(now.requests.values())
        assert shown >= before
        assert sum(sum(each.buckets) for each in now.durations.values()) == shown
        before = shown


def test_the_certificate_is_shown_by_when_it_expires_and_how_its_renewals_went():
    page = exposition([], "9.9", CertificateMetrics(1_798_245_866.0, 3, 1)).decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("erlmcp_tls")
    }
    assert samples == {
        ("erlmcp_tls_certificate_expiry_timestamp_seconds",): 1_798_245_866.0,
        ("erlmcp_tls_certificate_renewals_total", "taken-over"): 3,
        ("erlmcp_tls_certificate_renewals_total", "refused"): 1,
    }
