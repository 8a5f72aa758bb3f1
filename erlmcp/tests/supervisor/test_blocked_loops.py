"""A handler that keeps the event loop from turning is named, and a worker that will not turn is replaced."""

from __future__ import annotations

import http.client
import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

GUEST = Path(__file__).parent / "guests" / "blocking.py"
WARN_S = 0.3
BLOCK_S = 0.6
COMPUTED = 150_000_000
"""Rounds that take a second or more of a processor: under load only what was used counts."""
CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@pytest.fixture
def watched(serve):
    """A function that starts a server with these limits."""

    def start(*, warn_s: float = WARN_S, exit_s: float = 30.0, workers: int = 1, guest: Path = GUEST):
        env = {"ERLMCP_LOOP_BLOCKED_WARN_S": str(warn_s), "ERLMCP_LOOP_BLOCKED_EXIT_S": str(exit_s)}
        return serve("--workers", str(workers), target=f"{guest}:server", env=env).started()

    return start


def _logged(server, event="event-loop.blocked"):
    return [line for line in server.events() if line["event"] == event]


def _in_session(server, method, params):
    connection = server.connect()
    session = connection.handshake("initialize", CLIENT, id=1).headers["mcp-session-id"]
    answer = connection.handshake(method, params, session, id=2)
    connection.close()
    assert "result" in answer.json


def _call(server, tool):
    server.call(tool, seconds=BLOCK_S)


def _call_at_once(server, tool):
    connection = server.connect()
    for seconds in (0, 0, BLOCK_S):  # then head and envelope are known
        connection.call(tool, seconds=seconds)
    connection.close()


def _call_in_session(server, tool):
    _in_session(server, "tools/call", {"name": tool, "arguments": {"seconds": BLOCK_S}})


def _get_prompt(server, prompt):
    _in_session(server, "prompts/get", {"name": prompt})


def _read_resource(server, _name):
    _in_session(server, "resources/read", {"uri": "blocking://one"})


def _get_route(server, _name):
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", "/block")
    assert connection.getresponse().read() == b"done"
    connection.close()


WAYS = {
    "compiled tool": (_call, "tools/call", "block"),
    "tool that is answered at once": (_call_at_once, "tools/call", "block"),
    "tool through the kernel": (_call, "tools/call", "block_with_context"),
    "tool in a session": (_call_in_session, "tools/call", "block_with_context"),
    "prompt": (_get_prompt, "prompts/get", "block_prompt"),
    "resource": (_read_resource, "resources/read", ""),
    "route of the guest": (_get_route, "http", ""),
}


@pytest.mark.behaviour("blocked.named", transport="http", era="any")
@pytest.mark.parametrize("way", WAYS)
def test_a_blocked_loop_is_logged_and_counted_by_the_name_of_what_blocks_it(watched, until, way):
    ask, method, name = WAYS[way]
    server = watched()
    ask(server, name)
    (line,) = until(lambda: _logged(server))
    assert (line["level"], line["method"], line["tool"]) == ("warning", method, name)
    assert "blocking.py:" in line["place"]
    assert line["place"].endswith(" wait")
    assert WARN_S <= line["blocked_s"] <= BLOCK_S + 0.3
    labels = {"generation": "g1", "method": method, "tool": name}
    assert until(lambda: server.sample("erlmcp_event_loop_blocked_total", **labels)) == 1
    assert server.sample("erlmcp_event_loop_blocked_seconds_total", **labels) >= WARN_S
    assert server.sample("erlmcp_event_loop_lag_seconds", generation="g1") >= WARN_S


def test_a_blocking_tool_of_a_fastmcp_is_named_too(watched, until):
    server = watched(guest=GUEST.with_name("blocking_fastmcp.py"))
    server.call("block", seconds=BLOCK_S)
    (line,) = until(lambda: _logged(server))
    assert (line["method"], line["tool"]) == ("tools/call", "block")
    assert "blocking_fastmcp.py:" in line["place"]


def test_a_block_in_a_task_of_the_guests_own_is_told_by_its_place(watched, until):
    server = watched()
    server.call("block_in_a_task", seconds=BLOCK_S)
    (line,) = until(lambda: _logged(server))
    assert (line["method"], line["tool"]) == ("unknown", "")
    assert "blocking.py:" in line["place"]


def test_a_tool_that_holds_the_interpreter_is_named_all_the_same(watched, until):
    server = watched()

    def named():  # where the watching thread got no processor, the loop was the quicker to go on: once more
        server.call("compute", rounds=COMPUTED)
        return [line for line in until(lambda: _logged(server)) if line["tool"] == "compute"]

    (line,) = until(named, timeout_s=30)
    assert line["method"] == "tools/call"
    assert line["place"].endswith(" compute")


def test_a_thread_that_holds_the_interpreter_is_told_by_its_place(watched, until):
    server = watched()
    server.call("compute_in_a_thread", rounds=COMPUTED)
    line = until(lambda: _logged(server))[0]
    assert line["method"] in {"thread", "unknown"}, "unknown if the loop was the quicker to go on"
    assert line["method"] == "unknown" or line["place"].endswith(" compute_in_a_thread")
    assert until(lambda: server.sample("erlmcp_event_loop_blocked_total")) >= 1


def test_a_handler_that_awaits_blocks_nothing_and_neither_does_one_in_a_thread(watched):
    server = watched()
    server.call("rest", seconds=3 * WARN_S)
    server.call("wait_in_a_thread", seconds=3 * WARN_S)
    assert _logged(server) == []
    assert server.sample("erlmcp_event_loop_blocked_total") == 0


def test_with_the_watch_off_nothing_is_noticed_and_nobody_is_ended(watched):
    server = watched(warn_s=0, exit_s=0)
    before = server.call("who")
    server.call("block", seconds=BLOCK_S)
    assert server.call("who") == before
    assert _logged(server) == []
    assert server.sample("erlmcp_event_loop_blocked_total") == 0
    assert server.sample("erlmcp_event_loop_lag_seconds") == 0


def test_the_same_block_again_is_counted_and_not_logged_again(watched, until):
    server = watched()
    for _ in range(3):
        server.call("block", seconds=BLOCK_S)
    assert until(lambda: server.sample("erlmcp_event_loop_blocked_total", tool="block") == 3)
    server.call("block_with_context", seconds=BLOCK_S)
    until(lambda: len(_logged(server)) > 1)
    assert [line["tool"] for line in _logged(server)] == ["block", "block_with_context"]


def test_a_worker_that_was_stopped_is_not_blamed_for_the_time(watched):
    server = watched(warn_s=0.5, exit_s=1.0)
    (worker,) = server.generation("g1")["workers"]
    os.kill(worker, signal.SIGSTOP)
    began = time.monotonic()
    while time.monotonic() < began + 2.0:  # long enough for both limits
        server.read("/health")
    os.kill(worker, signal.SIGCONT)
    assert server.call("who") == str(worker)
    assert _logged(server) + _logged(server, "event-loop.stuck") == []


@pytest.mark.behaviour("blocked.stuck-worker-is-replaced", transport="http", era="any")
def test_a_worker_whose_loop_stands_still_is_ended_and_replaced_and_the_others_serve(watched, until):
    server = watched(exit_s=1.0, workers=2)
    culprit = server.connect()
    culprit.send("tools/call", {"name": "block", "arguments": {"seconds": 60}})
    until(lambda: "blocking" in [line.get("text") for line in server.events()])
    until(lambda: server.call("who"))
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        culprit.http.getresponse()
    (stuck,) = until(lambda: _logged(server, "event-loop.stuck"))
    assert (stuck["level"], stuck["method"], stuck["tool"]) == ("error", "tools/call", "block")
    assert stuck["blocked_s"] >= 1.0
    (died,) = until(lambda: _logged(server, "worker.died"))
    assert (died["stuck"], died["worker"]) == (True, stuck["pid"])
    workers = until(lambda: len(now := server.generation("g1")["workers"]) == 2 and now)
    assert stuck["pid"] not in workers
    assert server.sample("erlmcp_workers_stuck_total") == server.sample("erlmcp_worker_restarts_total") == 1


def test_other_calls_of_a_worker_that_is_ended_see_their_connection_close(watched, until):
    server = watched(exit_s=1.0)
    other = server.connect()
    other.send("tools/call", {"name": "rest", "arguments": {"seconds": 60}})
    until(lambda: server.generation("g1")["in_flight"] == 1)
    culprit = server.connect()
    culprit.send("tools/call", {"name": "block", "arguments": {"seconds": 60}})
    for each in (other, culprit):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            each.http.getresponse()
    assert server.call("who")


def test_with_the_exit_off_a_blocked_worker_is_left_alone(watched, until):
    server = watched(exit_s=0)
    blocked = server.call("block", seconds=1.5)
    assert server.call("who") == blocked
    assert until(lambda: _logged(server))[0]["tool"] == "block"
    assert server.sample("erlmcp_workers_stuck_total") == 0


@pytest.mark.behaviour("blocked.silent-worker-is-replaced", transport="http", era="any")
def test_a_worker_in_which_nothing_can_run_is_ended_by_the_master_and_says_where(watched, until):
    """Takes as long as the master's grace: five seconds more than the worker's own limit."""
    server = watched(exit_s=1.0)
    (worker,) = server.generation("g1")["workers"]
    culprit = server.connect()
    culprit.send("tools/call", {"name": "hold", "arguments": {"seconds": 60}})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        culprit.http.getresponse()
    assert until(lambda: _logged(server, "worker.silent"))[0]["worker"] == worker
    texts = until(lambda: [line["text"] for line in server.events() if "text" in line])
    assert any("blocking.py" in text and text.endswith("in hold") for text in texts)
    assert until(lambda: _logged(server, "worker.died"))[0]["stuck"] is True
    assert server.call("who") != str(worker)


def test_a_stopping_server_ends_in_time_though_its_worker_is_blocked(watched, until):
    server = watched(exit_s=1.0)
    culprit = server.connect()
    culprit.send("tools/call", {"name": "block", "arguments": {"seconds": 60}})
    until(lambda: "blocking" in [line.get("text") for line in server.events()])
    assert server.stop() == 0
    assert _logged(server, "worker.died") == [], "it was asked to end"
