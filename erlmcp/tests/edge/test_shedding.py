"""When a worker begins to refuse new work, and when it stops, by how late its loop was."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.config.schema import LimitSettings
from erlmcp.edge.shedding import Shedding

LATE, PUNCTUAL = 1.01, 1.0


def make(**settings):
    loop = asyncio.new_event_loop()
    try:
        shedding = Shedding(LimitSettings(**{"shed_lag_s": 1.0, "shed_after_s": 3.0, **settings}), loop)
        shedding.close()
    finally:
        loop.close()
    return shedding


def look(shedding, *lates, start=0.0, step_s=1.0):
    """How it stands after each look."""
    seen = []
    for number, late_s in enumerate(lates):
        shedding.note(late_s, start + number * step_s)
        seen.append(shedding.active)
    return seen


def test_who_is_late_each_time_for_long_enough_sheds():
    assert look(make(), LATE, LATE, LATE, LATE) == [False, False, False, True]


def test_being_late_once_or_as_late_as_allowed_is_no_reason():
    assert not any(look(make(), LATE, LATE, LATE, PUNCTUAL, LATE, LATE, LATE))
    assert not any(look(make(), *[PUNCTUAL] * 20))
    assert not any(look(make(), 60.0, 0.0, 60.0, 0.0, 60.0))


def test_it_goes_on_until_it_was_punctual_for_as_long():
    shedding = make()
    look(shedding, *[LATE] * 4)
    assert look(shedding, PUNCTUAL, PUNCTUAL, LATE, PUNCTUAL, PUNCTUAL, PUNCTUAL, start=10) == [True] * 6
    assert look(shedding, PUNCTUAL, LATE, start=16) == [False, False]


def test_zero_never_sheds():
    shedding = make(shed_lag_s=0.0)
    assert shedding._timer is None
    assert not shedding.refuses("tools/call")


@pytest.mark.parametrize("method", ["ping", "server/discover", "tasks/cancel"])
def test_what_costs_nothing_is_answered_all_the_same(method):
    shedding = make()
    look(shedding, *[LATE] * 4)
    assert not shedding.refuses(method)
    assert shedding.refuses("tools/call")


@given(st.lists(st.floats(0, 5), max_size=40))
def test_it_never_changes_its_mind_twice_within_its_time(lates):
    seen = look(make(), *lates)
    changes = [number for number in range(1, len(seen)) if seen[number] != seen[number - 1]]
    assert all(later - earlier >= 3 for earlier, later in pairwise(changes))
