"""What happened between two looks, and how much of the past is kept."""

from __future__ import annotations

import pytest

from erlmcp.telemetry.capacity import Capacity
from erlmcp.telemetry.exposition import GenerationMetrics
from erlmcp.telemetry.history import History, Sample, quantile
from erlmcp.telemetry.meter import BUCKETS_S, Meter
from erlmcp.telemetry.reading import Reading
from erlmcp.telemetry.totals import Totals


def _reading(meter, at, cpu_s=0.0):
    counts = Totals().with_living([meter.snapshot()])
    generation = GenerationMetrics("g1", "1", "active", 1, 0, 0, 0, 0, 0, cpu_s, counts)
    return Reading(at, "0", [generation], Capacity(0.0, [], [], [], 2.0, []))


def _called(meter, outcome="ok", seconds=0.002, tool="t", times=1):
    for _ in range(times):
        meter.finished("tools/call", "modern", "tcp", outcome, seconds, tool, tool_exists=True)


def test_a_window_is_what_came_between_two_looks():
    history, meter = History(2.0), Meter()
    _called(meter, times=5)
    history.add(_reading(meter, 100.0, cpu_s=1.0))
    _called(meter, "timeout", times=3)
    _called(meter, "tool_error", times=2)
    window = history.window(Sample.of(_reading(meter, 110.0, cpu_s=6.0)), 300.0)
    assert (window.requests, window.errors, window.faults) == (5, 5, 3)
    assert window.rate(window.requests) == 0.5
    assert window.cpu_of_all == 0.5


def test_a_window_goes_back_as_far_as_asked_and_no_further_than_the_start():
    history, meter = History(2.0), Meter()
    for at in range(0, 100, 2):
        history.add(_reading(meter, float(at)))
    newest = Sample.of(_reading(meter, 98.0))
    assert history.window(newest, 10.0).older.at == 88.0
    assert history.window(newest, 300.0).older.at == 0.0
    assert [each.seconds for each in history.windows(10.0)][:6] == [2, 4, 6, 8, 10, 10]


def test_before_the_first_look_there_is_nothing_to_compare():
    window = History(2.0).window(Sample.of(_reading(Meter(), 5.0)), 10.0)
    assert (window.seconds, window.rate(window.requests)) == (0.0, 0.0)


def test_however_long_it_runs_little_is_kept_and_the_hour_is_still_there():
    history, meter = History(2.0), Meter()
    for at in range(0, 20_000, 2):
        history.add(_reading(meter, float(at)))
    assert len(history.samples) == 152
    assert len(history._coarse) == 61
    assert len(history._tools) == 21
    newest = Sample.of(_reading(meter, 20_000.0))
    assert 300 <= history.window(newest, 300.0).seconds <= 304
    assert 3_540 <= history.window(newest, 3_600.0).seconds <= 3_660


def test_the_last_minutes_of_a_tool_leave_out_what_was_before():
    history, meter = History(2.0), Meter()
    _called(meter, seconds=5.0, times=7)
    history.add(_reading(meter, 0.0))
    _called(meter, seconds=0.0008, times=2)
    seconds, tools, methods = history.lately(_reading(meter, 4.0))
    assert (seconds, tools["t"].calls, methods["tools/call"].calls) == (4.0, 2, 2)
    assert tools["t"].mean_s == pytest.approx(0.0008)
    assert tools["t"].quantile_s(0.99) <= 0.001


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ({0: 10}, 0.5, 0.00025),
        ({2: 10}, 0.9, 0.001 + 0.0015 * 0.9),
        ({0: 9, 13: 1}, 0.99, 5.0 + 5.0 * 0.9),
        ({14: 1}, 0.5, 10.0),
        ({}, 0.5, None),
    ],
)
def test_a_quantile_is_the_one_that_prometheus_would_tell(counts, share, expected):
    buckets = [counts.get(position, 0) for position in range(len(BUCKETS_S) + 1)]
    found = quantile(share, buckets)
    assert found == (expected if expected is None else pytest.approx(expected))
