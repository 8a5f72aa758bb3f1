"""The counters of the request path."""

import json

from hypothesis import given
from hypothesis import strategies as st

from erlmcp.telemetry.meter import (
    BUCKETS_S,
    MAX_BLOCKERS,
    MAX_TOOL_NAME,
    MAX_TOOLS,
    OTHER_BLOCKERS,
    OTHER_TOOLS,
    Meter,
)


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
        "tokens": {},
        "bytes": {"received": 0, "sent": 0},
        "blocked": [],
        "tools": {},
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


def _tools(meter):
    return {name: tool["outcomes"] for name, tool in meter.snapshot()["tools"].items()}


def test_a_name_that_only_clients_say_is_no_label_until_a_call_of_it_goes_well():
    meter = Meter()
    for number in range(3):
        meter.finished("tools/call", "modern", "tcp", "tool_error", 0.01, f"made-up-{number}")
    meter.finished("tools/call", "modern", "tcp", "ok", 0.01, "real")
    meter.finished("tools/call", "modern", "tcp", "tool_error", 0.01, "real")
    meter.finished("tools/call", "modern", "tcp", "tool_error", 0.01, "always-fails", tool_exists=True)
    assert _tools(meter) == {
        OTHER_TOOLS: {"tool_error": 3},
        "real": {"ok": 1, "tool_error": 1},
        "always-fails": {"tool_error": 1},
    }


def test_tools_beyond_the_bound_are_counted_together_and_long_names_are_cut():
    meter = Meter()
    for number in range(MAX_TOOLS + 2):
        meter.finished("tools/call", "modern", "tcp", "ok", 0.5, f"t{number}")
    assert _tools(meter) == {f"t{n}": {"ok": 1} for n in range(MAX_TOOLS)} | {OTHER_TOOLS: {"ok": 2}}
    meter = Meter()
    for _ in range(2):
        meter.finished("tools/call", "modern", "tcp", "ok", 0.5, "x" * 4_000)
    assert _tools(meter) == {"x" * MAX_TOOL_NAME: {"ok": 2}}


def test_the_durations_of_a_tool_are_those_of_its_calls():
    meter = Meter()
    for seconds in (0.002, 0.2):
        meter.finished("tools/call", "modern", "tcp", "ok", seconds, "t")
    snapshot = meter.snapshot()
    assert snapshot["tools"]["t"]["buckets"] == snapshot["durations"]["tools/call"]["buckets"]
    assert snapshot["tools"]["t"]["sum_s"] == 0.202
