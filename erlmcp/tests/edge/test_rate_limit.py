"""The token bucket, on a clock that the test turns."""

from hypothesis import given
from hypothesis import strategies as st

from erlmcp.config.schema import LimitSettings
from erlmcp.edge import rate_limit
from erlmcp.edge.rate_limit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_off_it_never_refuses():
    limit = RateLimit(LimitSettings(), Clock())
    assert not limit.enabled
    assert {limit.wait_s("a") for _ in range(1000)} == {0}


def test_a_burst_then_the_rate_and_each_client_for_itself():
    clock = Clock()
    limit = RateLimit(LimitSettings(requests_per_s=2, burst=3), clock)
    assert [limit.wait_s("a") for _ in range(4)] == [0, 0, 0, 1]
    assert limit.wait_s("b") == 0
    clock.now += 0.49
    assert limit.wait_s("a") == 1
    clock.now += 0.01
    assert [limit.wait_s("a"), limit.wait_s("a")] == [0, 1]


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(0.1, 10), st.integers(1, 10))
def test_never_more_than_the_burst_and_the_rate_together(pauses, rate, burst):
    clock = Clock()
    limit = RateLimit(LimitSettings(requests_per_s=rate, burst=burst), clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += limit.wait_s("a") == 0
    assert passed <= burst + clock.now * rate + 1e-6


def test_the_wait_that_is_told_is_enough():
    clock = Clock()
    limit = RateLimit(LimitSettings(requests_per_s=0.3, burst=1), clock)
    assert limit.wait_s("a") == 0
    clock.now += limit.wait_s("a")
    assert limit.wait_s("a") == 0


def test_the_number_of_remembered_clients_is_bounded(monkeypatch):
    monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 3)
    clock = Clock()
    limit = RateLimit(LimitSettings(requests_per_s=0.001, burst=1), clock)
    assert [limit.wait_s(name) for name in "abcd"] == [0, 0, 0, 0]
    assert limit.wait_s("d") > 0
    assert limit.wait_s("a") == 0, "forgotten, so its bucket is full again"


def test_a_client_is_its_token_wherever_it_comes_from_and_else_its_address():
    limit = RateLimit(LimitSettings(client_requests_per_s=0.1, client_burst=2), Clock())
    assert [limit.wait_s(place, "ada") for place in ("a", "b", "c")] == [0, 0, 10]
    assert limit.wait_s("c", "bob") == 0
    assert [limit.wait_s("c") for _ in range(3)] == [0, 0, 10]


def test_all_clients_together_have_a_rate():
    limit = RateLimit(LimitSettings(total_requests_per_s=1, total_burst=3), Clock())
    assert [limit.wait_s(name) for name in "abcd"] == [0, 0, 0, 1]


def test_what_one_rate_refuses_takes_nothing_from_the_others():
    clock = Clock()
    settings = LimitSettings(requests_per_s=0.1, burst=1, total_requests_per_s=0.1, total_burst=2)
    limit = RateLimit(settings, clock)
    assert [limit.wait_s("a") for _ in range(5)] == [0, 10, 10, 10, 10]
    assert limit.wait_s("b") == 0, "the refused have not used the rate of all"
    assert limit.wait_s("c") == 10


def test_the_longest_wait_is_told():
    limit = RateLimit(
        LimitSettings(requests_per_s=1, burst=1, client_requests_per_s=0.1, client_burst=1), Clock()
    )
    assert [limit.wait_s("a", "ada"), limit.wait_s("a", "ada")] == [0, 10]


def test_a_network_of_ipv6_has_one_bucket():
    limit = RateLimit(LimitSettings(requests_per_s=0.1, burst=1), Clock())
    assert [limit.wait_s("2001:db8::1"), limit.wait_s("2001:db8::2")] == [0, 10]
    assert limit.wait_s("2001:db8:0:1::1") == 0
    assert [limit.wait_s("192.0.2.1"), limit.wait_s("::ffff:192.0.2.1")] == [0, 10]
