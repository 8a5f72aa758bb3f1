"""Rates that several workers count together, on a bus within one process and a clock that the test turns."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.config.schema import LimitSettings
from erlmcp.edge import shared_rates
from erlmcp.edge.rate_limit import RateLimit
from erlmcp.edge.shared_rates import SharedRates
from erlmcp.sessions.bus import LocalBus


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Workers:
    """Some workers on one bus; they tell each other when the test says so."""

    def __init__(self, count, **settings):
        self.clock = Clock()
        self._loop = asyncio.new_event_loop()
        bus = LocalBus()
        self.limits = [RateLimit(LimitSettings(**settings), self.clock) for _ in range(count)]
        self._shared = [SharedRates(each.rates, bus, self._loop, self.clock) for each in self.limits]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self._shared:
            each.close()
        self._loop.close()

    def ask(self, worker, address="192.0.2.7", principal=""):
        return self.limits[worker].wait_s(address, principal) == 0

    def tell(self):
        for each in self._shared:
            each.tell()


def test_what_one_has_let_pass_the_others_have_too():
    with Workers(2, client_requests_per_s=0.1, client_burst=4) as workers:
        assert [workers.ask(0) for _ in range(3)] == [True] * 3
        workers.tell()
        assert [workers.ask(1) for _ in range(3)] == [True, False, False]
        assert workers.ask(1, "192.0.2.8")
        workers.tell()
        assert not workers.ask(0)


def test_nothing_is_told_twice():
    with Workers(2, requests_per_s=0.1, burst=4) as workers:
        workers.ask(0)
        for _ in range(10):
            workers.tell()
        assert [workers.ask(1) for _ in range(4)] == [True, True, True, False]


def test_all_kinds_of_rates_are_shared():
    settings = {"total_requests_per_s": 0.1, "total_burst": 3, "calls_per_s": 0.1, "calls_burst": 2}
    with Workers(2, **settings) as workers:
        assert [workers.ask(0, f"192.0.2.{host}") for host in range(3)] == [True] * 3
        assert [workers.limits[0].call_wait_s("anna") for _ in range(2)] == [0, 0]
        workers.tell()
        assert not workers.ask(1, "192.0.2.99")
        assert workers.limits[1].call_wait_s("anna") > 0
        assert workers.limits[1].call_wait_s("bert") == 0


def test_a_bucket_that_owes_is_paid_back_by_time():
    with Workers(2, requests_per_s=1, burst=2) as workers:
        assert [workers.ask(worker) for worker in (0, 0, 1, 1)] == [True] * 4
        workers.tell()
        workers.clock.now += 2.9
        assert not workers.ask(0)
        workers.clock.now += 0.1
        assert workers.ask(0)


def test_a_worker_that_alone_let_pass_much_makes_nobody_wait_for_ever():
    with Workers(2, requests_per_s=1, burst=2) as workers:
        workers.limits[0].rates["address"]._buckets["192.0.2.7"] = [0.0, 0.0, 1_000_000.0]
        workers.tell()
        workers.clock.now += 3
        assert workers.ask(1)


def test_of_many_names_those_that_took_the_most_are_told_first_and_the_others_later(monkeypatch):
    monkeypatch.setattr(shared_rates, "MAX_TOLD", 1)
    with Workers(2, requests_per_s=0.1, burst=2) as workers:
        for address, count in (("192.0.2.1", 1), ("192.0.2.2", 2)):
            for _ in range(count):
                workers.ask(0, address)
        workers.tell()
        assert not workers.ask(1, "192.0.2.2")
        workers.tell()
        assert [workers.ask(1, "192.0.2.1"), workers.ask(1, "192.0.2.1")] == [True, False]


def test_a_worker_with_other_limits_does_not_mind():
    bus, clock = LocalBus(), Clock()
    loop = asyncio.new_event_loop()
    one = RateLimit(LimitSettings(requests_per_s=1, burst=1), clock)
    other = RateLimit(LimitSettings(total_requests_per_s=1, total_burst=1), clock)
    shared = [SharedRates(each.rates, bus, loop, clock) for each in (one, other)]
    assert one.wait_s("a") == 0
    shared[0].tell()
    assert other.wait_s("a") == 0
    for each in shared:
        each.close()
    loop.close()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=80),
    st.floats(0.5, 10),
    st.integers(1, 10),
)
def test_together_they_let_pass_what_one_would_and_what_was_not_told_yet(asked, rate, burst):
    """They tell each other after each request but one: that is the most that nobody knows of."""
    with Workers(3, requests_per_s=rate, burst=burst) as workers:
        passed = 0
        for worker, pause_s in asked:
            workers.clock.now += pause_s
            passed += workers.ask(worker)
            workers.tell()
        assert passed <= burst + workers.clock.now * rate + 1e-6


@pytest.mark.parametrize("kind", ["client", "address"])
def test_alone_a_worker_counts_as_ever(kind):
    settings = {"requests_per_s": 0.1, "burst": 3} if kind == "address" else {}
    if kind == "client":
        settings = {"client_requests_per_s": 0.1, "client_burst": 3}
    with Workers(1, **settings) as workers:
        workers.tell()
        assert [workers.ask(0) for _ in range(4)] == [True, True, True, False]
        workers.tell()
        assert not workers.ask(0)
