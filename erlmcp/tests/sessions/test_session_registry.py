"""Which sessions are alive, on a clock that the test turns."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from erlmcp.config.schema import McpSettings
from erlmcp.sessions import registry
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.registry import Sessions
from erlmcp.sessions.sealed import KeyRing, UnknownSessionError

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
    monkeypatch.setattr(registry, "MAX_KNOWN", 3)
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
    sessions.on_idle = idle.append
    left = [sessions.begin("2025-11-25", {}) for _ in range(10)]
    assert all(is_alive(sessions, session_id) for session_id, _ in left)
    clock.now += IDLE_S + 1
    later = [sessions.begin("2025-11-25", {})[0] for _ in range(5)]
    assert all(is_alive(sessions, session_id) for session_id in later)
    assert idle == [facts.sid for _, facts in left]
    assert len(sessions._used) == len(sessions._told) == len(later)
    assert not any(is_alive(sessions, session_id) for session_id, _ in left)
    assert all(is_alive(sessions, session_id) for session_id in later)


class Fleet(RuleBasedStateMachine):
    """Workers come and go; a session that was ended must be dead everywhere, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.bus = LocalBus()
        self.workers = [worker(self.bus, self.clock)]
        self.alive: dict[str, str] = {}
        self.dead: list[str] = []

    @rule()
    def begin(self) -> None:
        session_id, facts = self.workers[0].begin("2025-11-25", {})
        self.alive[session_id] = facts.sid

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


def test_a_session_of_nobody_is_unknown():
    with pytest.raises(UnknownSessionError):
        worker(LocalBus(), Clock()).open("nothing")
