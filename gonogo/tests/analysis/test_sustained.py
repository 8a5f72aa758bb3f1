"""Sustained means: at every evaluation, without a gap, with enough requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gonogo.analysis.sustained import Evaluation, broken_for_s, broken_throughout

STEP_S, SPAN_S = 15.0, 120.0


def series(states: list[bool | None], requests: int = 10, begin_s: float = 1000.0) -> list[Evaluation]:
    return [Evaluation(begin_s + STEP_S * i, state, requests) for i, state in enumerate(states)]


def sustained(evaluations: list[Evaluation], min_requests: int = 50) -> bool:
    return broken_throughout(evaluations, span_s=SPAN_S, step_s=STEP_S, min_requests=min_requests)


def test_eight_broken_evaluations_fill_two_minutes_and_seven_do_not():
    assert sustained(series([True] * 8))
    assert not sustained(series([True] * 7))


def test_one_good_or_unknown_evaluation_ends_it():
    assert not sustained(series([True] * 4 + [False] + [True] * 4))
    assert not sustained(series([True] * 4 + [None] + [True] * 4))
    assert sustained(series([False] + [True] * 8))


def test_fifty_requests_are_enough_and_forty_nine_are_not():
    few = series([True] * 8, requests=6)
    assert sustained(few, min_requests=48)
    assert not sustained(few, min_requests=49)


def test_a_gap_in_the_observation_is_not_sustained():
    whole = series([True] * 9)
    assert sustained(whole)
    assert not sustained(whole[:4] + whole[6:])


def test_nothing_seen_is_nothing_sustained():
    assert not sustained([])


@given(st.lists(st.sampled_from([True, False, None]), max_size=20))
def test_it_is_sustained_exactly_if_the_last_eight_are_broken(states):
    expected = len(states) >= 8 and all(state is True for state in states[-8:])
    assert sustained(series(states)) is expected


def test_time_broken_counts_from_the_first_of_the_run_at_the_end():
    assert broken_for_s(series([True, False, True, True, True]), max_gap_s=30) == 2 * STEP_S
    assert broken_for_s(series([True, False]), max_gap_s=30) == 0
    assert broken_for_s([], max_gap_s=30) == 0


def test_time_broken_is_not_claimed_over_a_gap():
    run = series([True] * 5)
    assert broken_for_s([run[0], run[4]], max_gap_s=30) == 0
