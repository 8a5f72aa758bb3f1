"""A baseline is as long as asked, and longer only while too few requests were seen."""

import asyncio
from datetime import timedelta

import pytest

from gonogo.watch.baseline import collect_baseline

SPAN_S = 10.0


@pytest.mark.parametrize(
    ("rate_per_s", "min_requests", "span_s"),
    [(20.0, 100, SPAN_S), (5.0, 100, 21.0), (0.0, 100, 4 * SPAN_S), (0.0, 0, SPAN_S)],
)
def test_thin_traffic_is_watched_longer_but_four_times_at_most(watched, rate_per_s, min_requests, span_s):
    collected = asyncio.run(
        collect_baseline(
            watched.service(rate_per_s=rate_per_s),
            SPAN_S,
            1.0,
            watched.clock,
            generation="g1",
            sleep=watched.sleep,
            min_requests=min_requests,
        )
    )
    assert abs(collected.span_s - span_s) <= 1.0
    assert collected.ended_at - collected.began_at <= timedelta(seconds=4 * SPAN_S)
