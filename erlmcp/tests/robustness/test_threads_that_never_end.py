"""Handlers that hang in threads: others go on while some are left, and a worker without any is replaced."""

from __future__ import annotations

import pytest

TIMED_OUT = -31504
MOST = 3
FOR_EVER_S = 600


@pytest.fixture
def few_threads(unruly):
    """A server with three threads, which gives a request half a second."""
    return unruly(env={"ERLMCP_MCP__REQUEST_TIMEOUT_S": "0.5", "ERLMCP_MAX_THREADS": str(MOST)})


def hang(server, count):
    """Let so many threads be lost."""
    clients = [server.client() for _ in range(count)]
    for client in clients:
        client.send("tools/call", name="hangs_in_a_thread", arguments={"seconds": FOR_EVER_S})
    for client in clients:
        assert client.receive()["error"]["code"] == TIMED_OUT
        client.close()


def test_threads_that_are_lost_are_counted_and_the_worker_serves_on(few_threads, until):
    client = few_threads.client()
    pid = client.text("who")
    hang(few_threads, MOST - 1)
    assert until(lambda: few_threads.server.sample("erlmcp_threads_lost") == MOST - 1)
    assert few_threads.server.sample("erlmcp_threads_busy") == 0
    assert few_threads.server.sample("erlmcp_threads_limit") == MOST
    assert client.text("who") == pid
    assert few_threads.server.sample("erlmcp_worker_restarts_total") == 0


def test_a_worker_that_has_lost_all_its_threads_is_replaced_without_a_failed_call(few_threads, until):
    pid = few_threads.client().text("who_needs_no_thread")
    hang(few_threads, MOST)

    def is_replaced():
        client = few_threads.client()
        try:
            return client.text("who_needs_no_thread") != pid and client.text("who") != pid
        finally:
            client.close()

    assert until(is_replaced, timeout_s=30)
    assert until(lambda: few_threads.server.sample("erlmcp_workers") == 1, timeout_s=30)
    assert few_threads.server.sample("erlmcp_worker_restarts_total") == 1
    assert few_threads.server.sample("erlmcp_threads_lost") == 0
    assert few_threads.logged("worker.worn")


def test_while_every_thread_is_taken_what_needs_none_is_answered_and_the_log_says_so(unruly, until):
    server = unruly(env={"ERLMCP_MAX_THREADS": str(MOST)})
    waiting = [server.client() for _ in range(MOST + 1)]
    for client in waiting:
        client.send("tools/call", name="hangs_in_a_thread", arguments={"seconds": 4})
    assert until(lambda: server.server.sample("erlmcp_threads_busy") == MOST)
    assert server.client().text("who_needs_no_thread")
    assert until(lambda: server.logged("threads.all-taken"))
    for client in waiting:
        assert client.receive()["result"]["content"][0]["text"] == "done"
