"""The table of states: what it promises about every generation, whatever happens to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.supervisor.states import (
    CAN_ACCEPT,
    ENDED,
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    State,
    after,
)


def _reachable(start):
    seen, todo = set(), [start]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += TRANSITIONS[state].values()
    return seen


def test_every_state_is_in_the_table_and_can_be_reached():
    assert set(TRANSITIONS) == set(State)
    assert _reachable(State.STARTING) == set(State)


def test_every_generation_can_end_and_gone_is_final():
    assert all(State.GONE in _reachable(state) for state in State)
    assert TRANSITIONS[State.GONE] == {}


def test_only_a_generation_that_has_started_can_accept():
    assert {State.STAGED, State.DRAINING, State.WARM} == CAN_ACCEPT
    assert {before for before, moves in TRANSITIONS.items() if State.ACTIVE in moves.values()} == CAN_ACCEPT
    assert {State.GONE, State.FAILED} == ENDED


def test_one_that_ended_never_serves_again():
    for state in (*ENDED, State.RETIRING):
        assert not _reachable(state) & {State.ACTIVE, State.STAGED, State.DRAINING, State.WARM}


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_any_run_of_events_keeps_the_order_of_a_life(events):
    state, history = State.STARTING, []
    for event in events:
        if event in TRANSITIONS[state]:
            state = after(state, event)
            history.append(event)
        else:
            with pytest.raises(IllegalTransitionError):
                after(state, event)
    if Event.ACCEPTING in history:
        assert Event.STARTED in history[: history.index(Event.ACCEPTING)]
    accepting = history.count(Event.ACCEPTING) - history.count(Event.STOPPED_ACCEPTING)
    assert accepting in {0, 1}
    assert (state is State.ACTIVE) <= (accepting == 1)
