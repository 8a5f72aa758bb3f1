"""Events that come late, twice or in another order: an end outweighs whatever else is said of its session.

Workers hear each other over a bus that loses nothing and keeps no order at all, which is more than any real
one does wrong; what is lost is heard by the repetition for a newcomer.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from erlmcp.config.schema import McpSettings
from erlmcp.sessions.bus import NEWCOMER, SESSION_USED, BusEvent, LocalBus
from erlmcp.sessions.records import SessionRecords
from erlmcp.sessions.registry import Sessions
from erlmcp.sessions.sealed import KeyRing, UnknownSessionError

IDLE_S = 100.0
SETTINGS = McpSettings(session_idle_s=IDLE_S, session_max_s=10_000.0)
KEYS = KeyRing([KeyRing.generate()])
URIS = ("note://1", "note://2")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """A bus of one worker whose events wait until somebody delivers them to the others."""

    def __init__(self, clock) -> None:
        self.local = LocalBus()
        self.said: list[BusEvent] = []
        self.late_ends: list[str] = []
        self.sessions = Sessions(KEYS, self, SETTINGS, clock)
        self.sessions.when_ended(self.late_ends.append)

    def publish(self, event: BusEvent) -> None:
        self.said.append(event)
        self.local.publish(event)

    def subscribe(self, listener):
        return self.local.subscribe(listener)

    def take_said(self) -> list[BusEvent]:
        said, self.said = self.said, []
        return said

    def traces(self, sid: str) -> set[str]:
        """What this worker still keeps of a session."""
        records = self.sessions._records
        return {
            name
            for name, found in {
                "use": sid in records._used,
                "told": sid in records._told,
                "subscription": any(sid in self.sessions.subscriptions.of(uri) for uri in URIS),
                "wanted": bool(self.sessions.subscriptions.wanted_by(sid)),
                "level": self.sessions.log_levels.of(sid) is not None,
            }.items()
            if found
        }


def is_alive(wire: Wire, facts) -> bool:
    try:
        wire.sessions.resume(facts)
    except UnknownSessionError:
        return False
    return True


class LateEvents(RuleBasedStateMachine):
    """Three workers; every event of each is on its way to the two others, and may be delivered again."""

    sessions = Bundle("sessions")

    @initialize()
    def start(self):
        self.clock = Clock()
        self.wires = [Wire(self.clock) for _ in range(3)]
        self.under_way: list[tuple[int, BusEvent]] = []
        self.heard_end: dict[str, set[int]] = {}
        self.collect()

    def collect(self):
        for number, wire in enumerate(self.wires):
            for event in wire.take_said():
                self.under_way += [(other, event) for other in range(3) if other != number]
        for sid, heard in self.heard_end.items():
            heard |= {n for n, wire in enumerate(self.wires) if wire.sessions._records.has_ended(sid)}

    @rule(target=sessions, at=st.integers(0, 2))
    def begin(self, at):
        _, facts = self.wires[at].sessions.begin("2025-11-25", {})
        self.collect()
        return facts

    @rule(facts=sessions, at=st.integers(0, 2), passed=st.integers(0, 20))
    def use(self, facts, at, passed):
        self.clock.now += passed
        is_alive(self.wires[at], facts)
        self.wires[at].sessions.use(facts.sid)  # a stream that is open does so without asking
        self.collect()

    @rule(facts=sessions, at=st.integers(0, 2), uri=st.sampled_from(URIS))
    def want(self, facts, at, uri):
        sessions = self.wires[at].sessions
        sessions.subscriptions.add(facts.sid, uri)
        sessions.log_levels.set(facts.sid, "error")
        self.collect()

    @rule(facts=sessions, at=st.integers(0, 2))
    def end(self, facts, at):
        self.heard_end.setdefault(facts.sid, set())
        self.wires[at].sessions.end(facts)
        self.collect()

    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data, again):
        """Any event that is under way, not the oldest; perhaps it stays to be delivered once more."""
        if self.under_way:
            index = data.draw(st.integers(0, len(self.under_way) - 1))
            to, event = self.under_way[index]
            if not again:
                del self.under_way[index]
            self.wires[to].local.publish(event)
            self.collect()

    @rule(at=st.integers(0, 2))
    def ask_for_a_repetition(self, at):
        self.wires[at].publish(BusEvent(NEWCOMER))
        self.collect()

    @invariant()
    def whoever_heard_of_an_end_keeps_to_it(self):
        for sid, heard in getattr(self, "heard_end", {}).items():
            for number in heard:
                assert self.wires[number].sessions._records.has_ended(sid)
                assert not self.wires[number].traces(sid)

    def teardown(self):
        if not hasattr(self, "wires"):
            return
        for to, event in self.under_way:  # everything arrives in the end
            self.wires[to].local.publish(event)
        for sid in self.heard_end:
            assert [wire.traces(sid) for wire in self.wires] == [set()] * 3


LateEvents.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLateEvents = LateEvents.TestCase


def pair() -> tuple[Clock, Wire, Wire]:
    clock = Clock()
    return clock, Wire(clock), Wire(clock)


def deliver(events, to: Wire) -> None:
    for event in events:
        to.local.publish(event)


def test_a_use_that_comes_after_the_end_takes_no_room():
    _, here, there = pair()
    _, facts = here.sessions.begin("2025-11-25", {})
    used = here.take_said()
    here.sessions.end(facts)
    deliver([*here.take_said(), *used], there)
    assert not is_alive(there, facts)
    assert there.traces(facts.sid) == set()
    there.sessions.use(facts.sid)
    assert there.traces(facts.sid) == set()
    assert SESSION_USED not in [event.kind for event in there.take_said()]


def test_a_worker_that_lets_a_late_use_count_is_noticed(monkeypatch):
    """The negative control."""
    monkeypatch.setattr(SessionRecords, "_hear_use", SessionRecords._note_use)
    with pytest.raises(AssertionError):
        test_a_use_that_comes_after_the_end_takes_no_room()


def test_an_end_that_was_missed_is_made_good_by_a_repetition_with_all_that_goes_with_it():
    _, here, there = pair()
    _, facts = here.sessions.begin("2025-11-25", {})
    here.sessions.subscriptions.add(facts.sid, URIS[0])
    here.sessions.log_levels.set(facts.sid, "error")
    deliver(here.take_said(), there)
    assert there.traces(facts.sid) >= {"use", "subscription", "wanted", "level"}
    here.sessions.end(facts)
    here.take_said()  # lost
    here.local.publish(BusEvent(NEWCOMER))
    repeated = here.take_said()
    deliver(repeated * 2, there)
    assert there.traces(facts.sid) == set()
    assert there.late_ends == [facts.sid], "told once, so that its streams are let go"


def test_a_repetition_says_which_subscriptions_were_missed_and_those_that_were_known_it_does_not():
    _, here, there = pair()
    late = []
    there.sessions.subscriptions.on_late = lambda sid, uris: late.append((sid, list(uris)))
    _, facts = here.sessions.begin("2025-11-25", {})
    here.sessions.subscriptions.add(facts.sid, URIS[0])
    deliver(here.take_said(), there)
    here.sessions.subscriptions.add(facts.sid, URIS[1])
    here.take_said()  # lost
    here.local.publish(BusEvent(NEWCOMER))
    deliver(here.take_said() * 2, there)
    assert late == [(facts.sid, [URIS[1]])]
    assert set(there.sessions.subscriptions.wanted_by(facts.sid)) == set(URIS)
