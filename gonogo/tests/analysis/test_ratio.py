"""The ratio to a baseline: promised false alarms and power on autocorrelated series, and its edges."""

from __future__ import annotations

from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from gonogo.analysis.ratio import MIN_SAMPLES, autocorrelation, compare, holm
from gonogo.model.watch import Outcome

SERIES = 250


def latencies(generator, count: int, phi: float, factor: float = 1.0, cv: float = 0.2) -> list[float]:
    """Log-normal with AR(1) logarithms: what a minute's p95 looks like."""
    spread = sqrt(log(1 + cv * cv))
    shocks = generator.normal(size=count)
    values = np.empty(count)
    values[0] = shocks[0]
    for index in range(1, count):
        values[index] = phi * values[index - 1] + sqrt(1 - phi * phi) * shocks[index]
    return (np.exp(spread * values) * factor).tolist()


def outcomes(phi: float, factor: float, margin: float = 1.25) -> Counter:
    generator = np.random.default_rng(5)
    return Counter(
        compare(latencies(generator, 240, phi), latencies(generator, 60, phi, factor), margin=margin).outcome
        for _ in range(SERIES)
    )


def test_no_change_passes_mostly_and_never_fails_at_the_usual_correlation():
    found = outcomes(0.6, 1.0)
    assert found[Outcome.FAIL] == 0
    assert found[Outcome.PASS] > 0.75 * SERIES


def test_half_as_slow_again_fails_mostly_and_twice_as_slow_always():
    assert outcomes(0.6, 1.5)[Outcome.FAIL] > 0.55 * SERIES
    assert outcomes(0.6, 2.0)[Outcome.FAIL] > 0.98 * SERIES


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.9])
def test_a_change_of_exactly_the_margin_is_rarely_called_either_way(phi):
    found = outcomes(phi, 1.25)
    assert found[Outcome.FAIL] + found[Outcome.PASS] < 0.08 * SERIES


def test_strong_correlation_is_answered_with_inconclusive_rather_than_with_noise():
    found = outcomes(0.9, 1.0)
    assert found[Outcome.FAIL] <= 0.01 * SERIES
    assert found[Outcome.INCONCLUSIVE] > 0.5 * SERIES


def test_the_usual_rank_test_would_cry_wolf_on_the_same_series():
    """The negative control of the simulation."""
    generator = np.random.default_rng(5)
    alarms = sum(
        mannwhitneyu(
            latencies(generator, 60, 0.6), latencies(generator, 240, 0.6), alternative="greater"
        ).pvalue
        < 0.01
        for _ in range(SERIES)
    )
    assert alarms / SERIES > 0.05


def test_no_samples_on_either_side_are_no_data():
    assert compare([], [1.0] * 20, margin=1.25).outcome is Outcome.NO_DATA
    assert compare([1.0] * 20, [], margin=1.25).outcome is Outcome.NO_DATA


def test_too_few_samples_are_inconclusive_up_to_the_edge():
    steady = [1.0, 1.01] * 50
    assert compare(steady, steady[: MIN_SAMPLES - 1], margin=1.25).outcome is Outcome.INCONCLUSIVE
    assert compare(steady, steady[:MIN_SAMPLES], margin=1.25).outcome is Outcome.PASS


def test_constant_series_are_compared_as_they_are():
    assert compare([10.0] * 20, [10.0] * 20, margin=1.25).outcome is Outcome.PASS
    assert compare([10.0] * 20, [13.0] * 20, margin=1.25).outcome is Outcome.FAIL


def test_a_slow_drift_far_below_the_margin_passes_by_its_range():
    drifting = [100 + 0.01 * step for step in range(24)]
    assert compare(drifting, drifting, margin=1.25).outcome is Outcome.PASS


def test_a_short_drift_above_the_margin_is_not_enough_to_fail_but_a_long_one_is():
    def drifting(count: int, factor: float) -> list[float]:
        return [factor * (100 + 0.01 * step) for step in range(count)]

    assert compare(drifting(24, 1), drifting(24, 2), margin=1.25).outcome is Outcome.INCONCLUSIVE
    assert compare(drifting(60, 1), drifting(60, 2), margin=1.25).outcome is Outcome.FAIL


@pytest.mark.parametrize(("baseline", "candidate"), [([0.0] * 9, [1.0] * 9), ([1.0] * 9, [-1.0] * 9)])
def test_samples_must_be_positive(baseline, candidate):
    with pytest.raises(ValueError, match="above 0"):
        compare(baseline, candidate, margin=1.25)


def test_the_margin_must_be_positive():
    with pytest.raises(ValueError, match="margin"):
        compare([1.0] * 9, [1.0] * 9, margin=0)


@given(st.lists(st.floats(1e-6, 1e6), min_size=MIN_SAMPLES, max_size=60), st.floats(1e-3, 1e3))
def test_the_unit_of_the_samples_does_not_matter(values, unit):
    other = values[::-1]
    plain = compare(values, other, margin=1.25)
    scaled = compare([v * unit for v in values], [v * unit for v in other], margin=1.25)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)
    assert plain.lower <= plain.ratio * 1.000001
    assert plain.upper >= plain.ratio * 0.999999


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=80))
def test_correlation_is_always_a_number_between_zero_and_its_ceiling(values):
    assert 0 <= autocorrelation(values) <= 0.98


def test_correlation_is_found_without_the_bias_of_short_series():
    generator = np.random.default_rng(2)
    found = [autocorrelation(np.log(latencies(generator, 60, 0.6)).tolist()) for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.6, abs=0.03)


def test_holm_is_stricter_with_the_first_and_stops_at_the_first_that_stands():
    assert holm([0.004, 0.009], 0.01) == (True, True)
    assert holm([0.006, 0.001], 0.01) == (True, True)
    assert holm([0.006, 0.007], 0.01) == (False, False)
    assert holm([], 0.01) == ()
