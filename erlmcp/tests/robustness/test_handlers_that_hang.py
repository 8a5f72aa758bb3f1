"""A handler that does not end in time: its client is told so, and its place is free again."""

from __future__ import annotations

import pytest

TIMED_OUT = -31504
TIMEOUT_S = "0.5"


@pytest.fixture
def hasty(unruly):
    """A server that gives a request half a second."""
    return unruly(env={"ERLMCP_MCP__REQUEST_TIMEOUT_S": TIMEOUT_S})


@pytest.mark.behaviour("timeouts.next-call-is-served")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("hangs", {"seconds": 60}),
        ("hangs_and_refuses_to_end", {"times": 3}),
        ("hangs_in_a_thread", {"seconds": 2}),
    ],
)
def test_a_call_that_takes_too_long_is_answered_and_the_next_one_is_served(hasty, cell, tool, arguments):
    client = hasty.client(*cell)
    pid = client.text("who")
    answer = client.call(tool, **arguments)
    assert answer["error"]["code"] == TIMED_OUT
    assert client.text("who") == pid


def test_calls_that_hang_leave_the_others_of_their_worker_alone(hasty):
    clients = [hasty.client("tcp") for _ in range(20)]
    for client in clients:
        client.send("tools/call", name="hangs_and_refuses_to_end", arguments={"times": 3})
    assert hasty.client().text("who")
    for client in clients:
        assert client.receive()["error"]["code"] == TIMED_OUT
    assert hasty.client().text("who")


def test_time_outs_are_counted_and_nothing_stays_in_flight(hasty, until):
    client = hasty.client()
    assert client.call("hangs", seconds=60)["error"]["code"] == TIMED_OUT
    assert client.status == 504
    assert until(lambda: hasty.server.sample("erlmcp_requests_total", outcome="timeout") == 1)
    assert hasty.server.sample("erlmcp_in_flight_requests") == 0


@pytest.mark.behaviour("stop.though-handlers-hang", transport="http", era="any")
def test_what_hangs_though_it_was_cancelled_does_not_keep_the_server_from_ending(unruly, until):
    server = unruly(env={"ERLMCP_DRAIN_TIMEOUT_S": "1"})
    client = server.client()
    client.send("tools/call", name="hangs_and_refuses_to_end", arguments={"times": 1000})
    client.close()
    thread = server.client()
    thread.send("tools/call", name="hangs_in_a_thread", arguments={"seconds": 60})
    until(lambda: server.server.sample("erlmcp_in_flight_requests") >= 1)
    assert server.server.stop() == 0
