"""What is kept for clients that come back: the latest, within four bounds, and nothing of anybody else."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from erlmcp.sessions.event_store import EventLimits, EventStore

LIMITS = EventLimits(stream_events=3, stream_bytes=10, total_bytes=20, age_s=5.0)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return EventStore(LIMITS, clock)


def test_what_came_after_a_number_is_replayed_in_order(store):
    for number in (1, 2, 3):
        store.put("a", "x", number, b"%d" % number)
    assert store.after("a", "x", 0) == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert store.after("a", "x", 2) == [(3, b"3")]
    assert store.after("a", "x", 3) == []


def test_another_stream_and_another_session_see_nothing(store):
    store.put("a", "x", 1, b"1")
    assert store.after("a", "y", 0) is None
    assert store.after("b", "x", 0) is None


def test_a_stream_keeps_so_many_events_and_the_oldest_goes_first(store):
    for number in (1, 2, 3):
        store.put("a", "x", number, b".")
    assert len(store.after("a", "x", 0)) == 3
    store.put("a", "x", 4, b".")
    assert [number for number, _ in store.after("a", "x", 0)] == [2, 3, 4]


def test_a_stream_keeps_so_many_bytes(store):
    store.put("a", "x", 1, b"12345")
    store.put("a", "x", 2, b"12345")
    assert len(store.after("a", "x", 0)) == 2
    store.put("a", "x", 3, b"1")
    assert [number for number, _ in store.after("a", "x", 0)] == [2, 3]


def test_a_message_as_large_as_a_stream_is_kept_and_a_larger_one_takes_the_stream_along(store):
    store.put("a", "x", 1, b"." * 10)
    assert store.after("a", "x", 0) == [(1, b"." * 10)]
    store.put("a", "x", 2, b"." * 11)
    assert store.after("a", "x", 0) is None
    assert store.bytes == 0


def test_all_streams_together_keep_so_many_bytes_and_the_quietest_stream_goes_first(store):
    store.put("a", "y", 1, b"." * 9)
    store.put("a", "x", 1, b"." * 9)
    store.put("a", "y", 2, b".")
    store.put("b", "z", 1, b".")
    assert store.bytes == 20
    assert store.after("a", "x", 0) is not None
    store.put("b", "z", 2, b".")
    assert store.after("a", "x", 0) is None
    assert store.after("a", "y", 0) is not None
    assert store.after("b", "z", 0) is not None


def test_a_message_is_kept_for_its_time_and_no_longer(store, clock):
    store.put("a", "x", 1, b"old")
    clock.now += 3
    store.put("a", "x", 2, b"new")
    clock.now += 2
    assert [number for number, _ in store.after("a", "x", 0)] == [1, 2]
    clock.now += 0.5
    assert [number for number, _ in store.after("a", "x", 0)] == [2]
    clock.now += 3
    assert store.after("a", "x", 0) is None
    assert store.bytes == 0


def test_an_ended_session_leaves_nothing(store):
    store.put("a", "x", 1, b"1")
    store.put("a", "y", 1, b"1")
    store.put("b", "x", 1, b"1")
    store.forget_session("a")
    store.forget_session("never was")
    assert (store.after("a", "x", 0), store.after("a", "y", 0), store.bytes) == (None, None, 1)
    assert store.after("b", "x", 0) == [(1, b"1")]


class StoreMachine(RuleBasedStateMachine):
    """Whatever happens, the bounds hold, and what is replayed is the untouched end of what was said."""

    names = st.sampled_from("abc")

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.store = EventStore(LIMITS, self.clock)
        self.said = {}

    @rule(sid=names, stream=names, size=st.integers(0, 12))
    def put(self, sid, stream, size):
        said = self.said.setdefault((sid, stream), [])
        number = len(said) + 1
        message = bytes([number % 256]) * size
        said.append((number, self.clock.now, message))
        self.store.put(sid, stream, number, message)
        if size <= LIMITS.stream_bytes:
            assert self.store.after(sid, stream, number - 1) == [(number, message)], "the newest is kept"

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(sid=names, stream=names)
    def forget(self, sid, stream):
        self.store.forget(sid, stream)
        assert self.store.after(sid, stream, 0) is None

    @rule(sid=names)
    def forget_session(self, sid):
        self.store.forget_session(sid)
        assert all(self.store.after(sid, stream, 0) is None for stream in "abc")

    @invariant()
    def bounds_hold(self):
        total = 0
        for (sid, stream), said in self.said.items():
            kept = self.store.after(sid, stream, 0)
            if not kept:
                continue
            assert kept == [(number, message) for number, _, message in said[-len(kept) :]]
            assert len(kept) <= LIMITS.stream_events
            assert sum(len(message) for _, message in kept) <= LIMITS.stream_bytes
            assert self.clock.now - said[-len(kept)][1] <= LIMITS.age_s
            total += sum(len(message) for _, message in kept)
        assert total <= self.store.bytes <= LIMITS.total_bytes


StoreMachine.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=40, deadline=None)
TestStoreMachine = StoreMachine.TestCase
