"""Which sessions are alive, on a clock that the test turns."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from erlmcp.config.schema import McpSettings
from erlmcp.sessions import ended, records
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.registry import Sessions
from erlmcp.sessions.sealed import KeyRing, SessionFacts, UnknownSessionError

IDLE_S, MAX_S = 100.0, 1000.0
SETTINGS = McpSettings(session_idle_s=IDLE_S, session_max_s=MAX_S)
KEYS = KeyRing([KeyRing.generate()])


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def worker(bus, clock) -> Sessions:
    return Sessions(KEYS, bus, SETTINGS, clock)


def is_alive(sessions: Sessions, session_id: str) -> bool:
    try:
        sessions.open(session_id)
    except UnknownSessionError:
        return False
    return True


def test_a_session_lives_exactly_its_idle_time():
    clock = Clock()
    sessions = worker(LocalBus(), clock)
    session_id, _ = sessions.begin("2025-11-25", {})
    clock.now += IDLE_S
    assert is_alive(sessions, session_id)
    clock.now += IDLE_S + 1
    assert not is_alive(sessions, session_id)


def test_a_session_in_constant_use_ends_at_its_greatest_age():
    clock = Clock()
    sessions = worker(LocalBus(), clock)
    session_id, _ = sessions.begin("2025-11-25", {})
    for _ in range(int(MAX_S / 50)):
        clock.now += 50
        assert is_alive(sessions, session_id)
    clock.now += 1
    assert not is_alive(sessions, session_id)


def test_use_at_one_worker_keeps_it_alive_at_another():
    clock, bus = Clock(), LocalBus()
    first, second = worker(bus, clock), worker(bus, clock)
    session_id, _ = first.begin("2025-11-25", {})
    for _ in range(5):
        clock.now += IDLE_S * 0.8
        assert is_alive(first, session_id)
    assert is_alive(second, session_id)


def test_a_forgotten_session_is_never_ended_too_early(monkeypatch):
    monkeypatch.setattr(records, "MAX_KNOWN", 3)
    clock = Clock()
    sessions = worker(LocalBus(), clock)
    ids = [sessions.begin("2025-11-25", {})[0] for _ in range(10)]
    clock.now += IDLE_S * 0.9
    assert all(is_alive(sessions, each) for each in ids)
    clock.now += IDLE_S * 0.9
    assert all(is_alive(sessions, each) for each in ids)


def test_idle_sessions_are_forgotten_as_others_come_and_stay_dead():
    clock = Clock()
    sessions = worker(LocalBus(), clock)
    idle: list[str] = []
    sessions.when_ended(idle.append)
    left = [sessions.begin("2025-11-25", {}) for _ in range(10)]
    assert all(is_alive(sessions, session_id) for session_id, _ in left)
    clock.now += IDLE_S + 1
    later = [sessions.begin("2025-11-25", {})[0] for _ in range(5)]
    assert all(is_alive(sessions, session_id) for session_id in later)
    assert idle == [facts.sid for _, facts in left]
    known = sessions._records
    assert len(known._used) == len(known._told) == len(later)
    assert not any(is_alive(sessions, session_id) for session_id, _ in left)
    assert all(is_alive(sessions, session_id) for session_id in later)


def test_who_serves_no_session_forgets_the_idle_ones_all_the_same():
    clock, bus = Clock(), LocalBus()
    serving, hearing = worker(bus, clock), worker(bus, clock)
    for _ in range(10):
        assert is_alive(serving, serving.begin("2025-11-25", {})[0])
    assert len(hearing._records._used) == 10
    clock.now += IDLE_S * 1.2
    for _ in range(5):
        assert is_alive(serving, serving.begin("2025-11-25", {})[0])
    assert len(hearing._records._used) == 5


class Fleet(RuleBasedStateMachine):
    """Workers come and go; a session that was ended must be dead everywhere, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.bus = LocalBus()
        self.workers = [worker(self.bus, self.clock)]
        self.alive: dict[str, SessionFacts] = {}
        self.dead: list[str] = []

    @rule()
    def begin(self) -> None:
        session_id, facts = self.workers[0].begin("2025-11-25", {})
        self.alive[session_id] = facts

    @rule()
    def another_worker(self) -> None:
        self.workers.append(worker(self.bus, self.clock))

    @precondition(lambda self: len(self.workers) > 1)
    @rule(index=st.integers(0, 10))
    def a_worker_goes(self, index) -> None:
        self.workers.pop(index % len(self.workers)).close()

    @precondition(lambda self: self.alive)
    @rule(index=st.integers(0, 10))
    def end(self, index) -> None:
        session_id = sorted(self.alive)[index % len(self.alive)]
        self.workers[index % len(self.workers)].end(self.alive.pop(session_id))
        self.dead.append(session_id)

    @invariant()
    def everybody_agrees(self) -> None:
        for each in self.workers:
            assert all(is_alive(each, session_id) for session_id in self.alive)
            assert not any(is_alive(each, session_id) for session_id in self.dead)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=25, stateful_step_count=20)


def test_what_is_told_now_and_then_never_ends_a_session_too_early():
    clock, bus = Clock(), LocalBus()
    first, second = worker(bus, clock), worker(bus, clock)
    session_id, _ = first.begin("2025-11-25", {})
    clock.now += IDLE_S * 0.09
    assert is_alive(first, session_id), "used, and too soon after the last time to be told"
    clock.now += IDLE_S
    assert is_alive(second, session_id)


def test_an_idle_session_stays_ended_for_a_worker_that_starts_later():
    clock, bus = Clock(), LocalBus()
    first = worker(bus, clock)
    session_id, _ = first.begin("2025-11-25", {})
    clock.now += IDLE_S * 0.9
    second = worker(bus, clock)
    clock.now += IDLE_S * 0.2
    assert not is_alive(first, session_id)
    assert not is_alive(second, session_id), "it was told of the last use when it started"


def capped(count: int, bus, clock) -> Sessions:
    return Sessions(KEYS, bus, McpSettings(session_idle_s=IDLE_S, max_sessions=count), clock)


def test_the_last_session_that_fits_is_begun_and_one_more_waits_for_the_oldest_to_be_idle():
    clock, bus = Clock(), LocalBus()
    first, second = capped(3, bus, clock), capped(3, bus, clock)
    for each in (first, second, first):
        assert each.full_for_s() == 0
        each.begin("2025-11-25", {})
        clock.now += 1
    assert first.full_for_s() == pytest.approx(IDLE_S - 3)
    assert second.full_for_s() > 0, "all workers count together"
    third = capped(3, bus, clock)
    assert third.full_for_s() > 0, "also one that starts later"
    clock.now += IDLE_S + IDLE_S / 10
    assert [each.full_for_s() for each in (first, second, third)] == [0, 0, 0]


def test_an_ended_session_makes_room_at_every_worker():
    clock, bus = Clock(), LocalBus()
    first, second = capped(1, bus, clock), capped(1, bus, clock)
    _, facts = first.begin("2025-11-25", {})
    assert second.full_for_s() > 0
    second.end(facts)
    assert first.full_for_s() == second.full_for_s() == 0


def test_more_ends_than_are_remembered_never_bring_a_session_back(monkeypatch):
    monkeypatch.setattr(ended, "MAX_REMEMBERED", 50)
    clock, bus = Clock(), LocalBus()
    first = worker(bus, clock)
    dead = []
    for _ in range(500):
        session_id, facts = first.begin("2025-11-25", {})
        first.end(facts)
        dead.append(session_id)
        clock.now += 0.1
        assert len(first._records.ended) <= 50
    later = worker(bus, clock)
    for each in (first, later):
        assert not any(is_alive(each, session_id) for session_id in dead)
    fresh, _ = first.begin("2025-11-25", {})
    assert is_alive(first, fresh)
    assert is_alive(later, fresh)


def test_ends_of_sessions_that_are_too_old_anyway_make_room_without_ending_others(monkeypatch):
    monkeypatch.setattr(ended, "MAX_REMEMBERED", 10)
    clock = Clock()
    sessions = worker(LocalBus(), clock)
    for _ in range(10):
        sessions.end(sessions.begin("2025-11-25", {})[1])
    clock.now += MAX_S + 1
    old, _ = sessions.begin("2025-11-25", {})
    clock.now += 1
    sessions.end(sessions.begin("2025-11-25", {})[1])
    assert is_alive(sessions, old)


def test_a_session_of_nobody_is_unknown():
    with pytest.raises(UnknownSessionError):
        worker(LocalBus(), Clock()).open("nothing")
