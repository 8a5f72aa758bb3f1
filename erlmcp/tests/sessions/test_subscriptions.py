"""Who hears of which resource, told between workers and bounded."""

import pytest

from erlmcp.sessions import subscriptions
from erlmcp.sessions.bus import NEWCOMER, SESSION_ENDED, BusEvent, LocalBus
from erlmcp.sessions.subscriptions import Subscriptions, TooManySubscriptionsError


def nobody_is_idle(sid):
    return False


def test_a_subscription_is_known_everywhere_until_it_or_its_session_ends():
    bus = LocalBus()
    here, there = Subscriptions(bus, nobody_is_idle), Subscriptions(bus, nobody_is_idle)
    here.add("a", "note://1")
    there.add("b", "note://1")
    there.add("b", "note://2")
    assert set(there.of("note://1")) == set(here.of("note://1")) == {"a", "b"}
    there.remove("a", "note://1")
    there.remove("a", "note://1")
    assert set(here.of("note://1")) == {"b"}
    bus.publish(BusEvent(SESSION_ENDED, "b"))
    assert (here.of("note://1"), here.of("note://2"), here.of("note://3")) == ((), (), ())


def test_a_newcomer_is_told_everything_also_more_than_fits_one_event(monkeypatch):
    monkeypatch.setattr(subscriptions, "_BATCH", 2)
    bus = LocalBus()
    old = Subscriptions(bus, nobody_is_idle)
    for number in range(5):
        old.add("a", f"note://{number}")
    new = Subscriptions(bus, nobody_is_idle)
    assert new.of("note://0") == ()
    bus.publish(BusEvent(NEWCOMER))
    assert [new.of(f"note://{number}") for number in range(5)] == [("a",)] * 5


def test_all_sessions_have_so_many_and_those_that_have_ended_make_room(monkeypatch):
    monkeypatch.setattr(subscriptions, "MAX_IN_ALL", 3)
    idle = set()
    found = Subscriptions(LocalBus(), idle.__contains__)
    for sid in "abc":
        found.add(sid, "note://1")
    with pytest.raises(TooManySubscriptionsError):
        found.add("d", "note://1")
    idle.add("b")
    found.add("d", "note://1")
    assert set(found.of("note://1")) == {"a", "c", "d"}


def test_a_closed_one_hears_nothing():
    bus = LocalBus()
    here, there = Subscriptions(bus, nobody_is_idle), Subscriptions(bus, nobody_is_idle)
    here.close()
    there.add("a", "note://1")
    assert here.of("note://1") == ()
