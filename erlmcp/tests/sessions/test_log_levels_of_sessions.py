"""The level of each session, told between workers and bounded."""

from erlmcp.sessions import log_levels
from erlmcp.sessions.bus import NEWCOMER, SESSION_ENDED, BusEvent, LocalBus
from erlmcp.sessions.log_levels import LogLevels


def test_a_level_is_known_everywhere_until_it_is_set_again_or_its_session_ends():
    bus = LocalBus()
    here, there = LogLevels(bus), LogLevels(bus)
    here.set("a", "error")
    assert (here.of("a"), there.of("a"), there.of("b")) == ("error", "error", None)
    there.set("a", "debug")
    assert here.of("a") == "debug"
    bus.publish(BusEvent(SESSION_ENDED, "a"))
    assert (here.of("a"), there.of("a")) == (None, None)


def test_a_newcomer_is_told_every_level_also_more_than_fit_one_event(monkeypatch):
    monkeypatch.setattr(log_levels, "_BATCH", 2)
    bus = LocalBus()
    old = LogLevels(bus)
    for number in range(5):
        old.set(f"s{number}", "alert")
    new = LogLevels(bus)
    assert new.of("s0") is None
    bus.publish(BusEvent(NEWCOMER))
    assert [new.of(f"s{number}") for number in range(5)] == ["alert"] * 5


def test_of_too_many_the_one_set_longest_ago_is_forgotten(monkeypatch):
    monkeypatch.setattr(log_levels, "MAX_IN_ALL", 2)
    levels = LogLevels(LocalBus())
    for sid in ("a", "b", "a", "c"):
        levels.set(sid, "error")
    assert [levels.of(sid) for sid in "abc"] == ["error", None, "error"]


def test_a_closed_one_hears_nothing():
    bus = LocalBus()
    here, there = LogLevels(bus), LogLevels(bus)
    here.close()
    there.set("a", "error")
    assert here.of("a") is None
