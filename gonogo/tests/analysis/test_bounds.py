"""Bounds of a rate: known values, edges, and coverage found by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.analysis.bounds import clopper_pearson, wilson

COUNTS = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_three_hundred_clean_requests_prove_less_than_one_percent_and_298_do_not():
    assert clopper_pearson(0, 300).upper < 0.01
    assert clopper_pearson(0, 298).upper > 0.01


def test_wilson_agrees_with_the_textbook():
    bounds = wilson(10, 100, confidence=0.975)
    assert (round(bounds.lower, 4), round(bounds.upper, 4)) == (0.0552, 0.1744)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
def test_without_data_nothing_is_known(method):
    bounds = method(0, 0)
    assert (bounds.lower, bounds.upper) == (0.0, 1.0)


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@given(counts=COUNTS)
def test_the_rate_lies_between_the_bounds(method, counts):
    events, trials = counts
    bounds = method(events, trials)
    rate = events / trials if trials else 0.5
    assert 0 <= bounds.lower <= rate <= bounds.upper <= 1


@pytest.mark.parametrize("method", [wilson, clopper_pearson])
@pytest.mark.parametrize(
    ("events", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.5), (1, 5, 1.0)]
)
def test_impossible_arguments_are_refused(method, events, trials, confidence):
    with pytest.raises(ValueError, match="must lie between"):
        method(events, trials, confidence=confidence)


def test_clopper_pearson_never_covers_less_than_it_says():
    generator = np.random.default_rng(7)
    for rate in (0.002, 0.01, 0.1):
        counts = generator.binomial(700, rate, size=2000)
        covered = np.mean([clopper_pearson(int(count), 700).upper >= rate for count in counts])
        assert covered >= 0.94, (rate, covered)
