"""The counters of the request path."""

import json

from hypothesis import given
from hypothesis import strategies as st

from erlmcp.telemetry.meter import BUCKETS_S, MAX_BLOCKERS, OTHER_BLOCKERS, Meter


def test_unknown_methods_share_one_label():
    meter = Meter()
    for number in range(100):
        meter.finished(f"made/up-{number}", "modern", "streamable-http", "client_error", 0.01)
        meter.refused(f"made/up-{number}", "modern", "streamable-http", "client_error")
    assert meter.snapshot()["requests"] == [["other", "modern", "streamable-http", "client_error", 200]]
    assert list(meter.snapshot()["durations"]) == ["other"]


@given(st.lists(st.floats(0, 20)))
def test_each_duration_is_in_the_one_bucket_that_holds_it(durations):
    meter = Meter()
    for seconds in durations:
        meter.finished("ping", "handshake", "streamable-http", "ok", seconds)
    snapshot = json.loads(json.dumps(meter.snapshot()))
    if not durations:
        assert snapshot["durations"] == {}
        return
    buckets = snapshot["durations"]["ping"]["buckets"]
    below = 0
    for bound, count in zip(BUCKETS_S, buckets, strict=False):
        below += count
        assert below == sum(seconds <= bound for seconds in durations)
    assert sum(buckets) == len(durations)


def test_a_refused_request_is_counted_but_not_timed():
    meter = Meter()
    meter.refused("tools/call", "modern", "streamable-http", "client_error")
    meter.rejected("rate")
    assert meter.snapshot() == {
        "requests": [["tools/call", "modern", "streamable-http", "client_error", 1]],
        "durations": {},
        "rejected": {"rate": 1},
        "blocked": [],
    }


def test_blocking_calls_beyond_the_bound_are_counted_together():
    meter = Meter()
    for number in range(MAX_BLOCKERS + 2):
        meter.blocked("tools/call", f"t{number}", 1.5)
    meter.blocked("tools/call", "t0", 0.5)
    rows = {(method, name): sums for method, name, *sums in meter.snapshot()["blocked"]}
    assert len(rows) == MAX_BLOCKERS + 1
    assert rows["tools/call", "t0"] == [2, 2.0]
    assert rows["tools/call", f"t{MAX_BLOCKERS - 1}"] == [1, 1.5]
    assert rows[OTHER_BLOCKERS] == [2, 3.0]
