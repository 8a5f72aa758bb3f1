"""Quantiles from buckets, honest above the last one."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.analysis.histogram import Quantile, difference, finest_quantile, quantile, total

BOUNDS = (0.001, 0.01, 0.1, 1.0, inf)


def buckets_of(values: list[float]) -> tuple[tuple[float, int], ...]:
    return tuple((bound, sum(value <= bound for value in values)) for bound in BOUNDS)


def test_a_quantile_is_interpolated_inside_its_bucket():
    assert quantile(((0.1, 0), (0.2, 100), (inf, 100)), 0.5) == Quantile(pytest.approx(0.15))


def test_rounding_does_not_leave_the_bucket():
    assert quantile(buckets_of([1.0, 0.0078125]), 0.5) == Quantile(0.01)


def test_above_the_last_bucket_only_that_much_is_claimed():
    found = quantile(((1.0, 10), (inf, 100)), 0.99)
    assert found == Quantile(1.0, above_last=True)
    assert str(found) == "above 1000 ms"


def test_without_observations_there_is_no_quantile():
    assert quantile((), 0.5) is None
    assert quantile(((1.0, 0), (inf, 0)), 0.5) is None


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_true_quantile_lies_in_the_bucket_that_is_answered(values, q):
    found = quantile(buckets_of(values), q)
    ordered = sorted(values)
    truth = next(v for i, v in enumerate(ordered, 1) if i >= q * len(ordered) - 1e-9)
    lower = max((bound for bound in BOUNDS if bound < truth), default=0.0)
    upper = min(bound for bound in BOUNDS if bound >= truth)
    assert lower <= found.value <= upper
    assert found.above_last == (upper == inf)


@given(st.lists(st.floats(0, 3), max_size=60), st.lists(st.floats(0, 3), max_size=60))
def test_the_difference_of_two_readings_is_what_came_between(before, between):
    assert difference(buckets_of(before + between), buckets_of(before)) == buckets_of(between)


def test_a_first_reading_is_compared_with_nothing():
    assert difference(((1.0, 3), (inf, 5)), ()) == ((1.0, 3), (inf, 5))
    assert total(()) == 0


def test_counts_that_go_back_are_refused():
    with pytest.raises(ValueError, match="went back"):
        difference(((1.0, 3), (inf, 5)), ((1.0, 4), (inf, 5)))


def test_other_bounds_are_refused():
    with pytest.raises(ValueError, match="different buckets"):
        difference(((1.0, 3), (inf, 5)), ((2.0, 3), (inf, 5)))


@pytest.mark.parametrize("buckets", [((1.0, 3),), ((1.0, 3), (inf, 2)), ((2.0, 1), (1.0, 2), (inf, 3))])
def test_buckets_that_are_not_cumulative_are_refused(buckets):
    with pytest.raises(ValueError, match="must"):
        quantile(buckets, 0.5)


@pytest.mark.parametrize("q", [0.0, 1.0])
def test_q_lies_inside(q):
    with pytest.raises(ValueError, match="q must"):
        quantile(((inf, 1),), q)


@pytest.mark.parametrize(
    ("requests", "per_window", "expected"),
    [(2000, 100, 0.99), (1999, 100, 0.95), (2000, 99, 0.95), (400, 15, 0.9), (40, 2, 0.5), (39, 2, None)],
)
def test_the_quantile_is_as_fine_as_the_requests_can_carry(requests, per_window, expected):
    assert finest_quantile(requests, per_window) == expected
