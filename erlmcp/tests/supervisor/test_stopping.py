"""How a server ends: in time, in order, and whatever is still open."""

from __future__ import annotations

import http.client
import os
import pty
import signal
import time
from pathlib import Path

import pytest

DRAIN_S = 3.0


@pytest.fixture
def busy(serve, until):
    """A server with an open listen stream, an open session stream, an idle connection and a long call."""
    server = serve(env={"ERLMCP_DRAIN_TIMEOUT_S": str(DRAIN_S)}).started()
    idle = server.connect()
    idle.call("who")
    listener = server.connect()
    listener.send("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    streams = [listener.http.getresponse()]
    client = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    session = idle.handshake("initialize", client, id=1).headers["mcp-session-id"]
    getter = server.connect()
    getter.http.request("GET", "/mcp", headers={"Accept": "text/event-stream", "Mcp-Session-Id": session})
    streams.append(getter.http.getresponse())
    caller = server.connect()
    caller.send("tools/call", {"name": "slow", "arguments": {"seconds": 60}})
    # the long call is the in-flight one; streams are counted apart
    until(lambda: (now := server.generation("g1"))["streams"] == 2 and now["in_flight"] >= 1)
    server.held = [idle, listener, getter, caller, *streams]
    return server


@pytest.mark.behaviour("stop.in-time-whatever-is-open", transport="http", era="any")
def test_sigterm_ends_with_0_within_the_deadline_whatever_is_open(busy):
    began = time.monotonic()
    busy.process.send_signal(signal.SIGTERM)
    assert busy.wait(DRAIN_S + 2) == 0
    elapsed = time.monotonic() - began
    assert 1.0 < elapsed <= DRAIN_S, "the call was given its time, and the deadline held"
    assert not busy.control.exists()


def test_a_second_signal_ends_at_once(busy, until):
    began = time.monotonic()
    busy.process.send_signal(signal.SIGTERM)
    until(lambda: busy.read("/ready").json["status"] == "draining")
    busy.process.send_signal(signal.SIGINT)
    assert busy.wait(DRAIN_S) == 1
    assert time.monotonic() - began < 1.5


@pytest.mark.behaviour("drain.not-ready", transport="http", era="any")
def test_while_draining_the_pages_say_so_and_new_connections_are_refused(busy, until):
    busy.process.send_signal(signal.SIGTERM)
    until(lambda: busy.read("/ready").status == 503)
    assert busy.read("/ready").json["status"] == "draining"
    assert busy.read("/health").json["status"] == "alive"
    assert busy.stage("late").json["error"]["id"] == "master.stopping"

    def refused():
        try:
            busy.connect().call("who")
        except (ConnectionError, http.client.HTTPException):
            return True
        return False

    until(refused)
    assert busy.wait(DRAIN_S + 2) == 0


def test_a_guest_that_blocks_its_event_loop_holds_up_neither_a_switch_nor_the_end(serve, until):
    server = serve(env={"ERLMCP_DRAIN_TIMEOUT_S": str(DRAIN_S)}).started()
    server.stage("g2", env={"GUEST_VERSION": "2"})
    blocked = server.connect()
    blocked.send("tools/call", {"name": "block", "arguments": {"seconds": 60}})
    until(lambda: "blocking" in [line.get("text") for line in server.events()])
    answer = server.activate("g2")
    assert (answer.status, answer.json["error"]["id"]) == (504, "generations.unconfirmed")
    assert server.activate("g2").status == 504, "asked again it does not say that all is well"
    assert server.generation("g2")["state"] == "active"
    assert server.call("who").endswith(" 2")
    assert server.retire("g1").json["state"] == "gone"
    assert server.activate("g2").status == 200
    assert server.stop() == 0


def test_an_idle_server_ends_at_once_and_leaves_no_worker(serve, until):
    server = serve("--workers", "2").started()
    workers = server.generation("g1")["workers"]
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 2.0
    assert [pid for pid in workers if _command(pid)] == []


@pytest.mark.behaviour("drain.running-call-is-answered", transport="http", era="modern")
def test_a_call_that_ends_within_the_deadline_is_answered(serve, until):
    server = serve().started()
    connection = server.connect()
    connection.send("tools/call", {"name": "slow", "arguments": {"seconds": 0.5}})
    until(lambda: server.generation("g1")["in_flight"] == 1)
    server.process.send_signal(signal.SIGTERM)
    assert b"done" in connection.http.getresponse().read()
    assert server.wait() == 0


def test_a_signal_during_the_start_ends_it(serve, until):
    server = serve()
    until(lambda: any(line["event"] == "generation.staging" for line in server.events()))
    assert server.stop() == 0
    assert [line for line in server.events() if line["level"] == "error"] == []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


def test_a_program_that_rotates_logs_does_not_end_the_server(serve, until):
    server = serve().started()
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: [line for line in server.events() if line["event"] == "master.hangup-ignored"])
    assert server.call("who")
    assert server.stop() == 0


def test_the_end_of_its_terminal_ends_the_server_in_good_order(serve):
    ours, theirs = pty.openpty()
    server = serve(stdin=theirs).started()
    os.close(theirs)
    server.process.send_signal(signal.SIGHUP)
    assert server.wait(15) == 0
    os.close(ours)
