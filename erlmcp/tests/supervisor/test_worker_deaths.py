"""Workers die; the server does not."""

from __future__ import annotations

import http.client
import os
import signal
from pathlib import Path

import pytest


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.behaviour("death.counters-never-go-back", transport="http", era="any")
def test_a_killed_worker_is_replaced_while_the_other_serves_and_no_counter_goes_back(serve, until):
    server = serve("--workers", "2").started()
    first, second = server.generation("g1")["workers"]
    calls = 12
    seen = {server.call("who").split()[0] for _ in range(calls)}
    assert seen <= {str(first), str(second)}
    until(lambda: server.sample("erlmcp_requests_total", method="tools/call") == calls)
    cpu = server.sample("erlmcp_process_cpu_seconds_total")
    survivor = server.connect()
    served_by = int(survivor.call("who").split()[0])
    victim = second if served_by == first else first
    before = server.sample("erlmcp_requests_total", method="tools/call")
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        assert survivor.call("who").split()[0] == str(served_by)
        assert server.sample("erlmcp_requests_total", method="tools/call") >= before
    workers = until(
        lambda: (now := server.generation("g1")["workers"]) and victim not in now and len(now) == 2 and now
    )
    assert served_by in workers
    assert server.sample("erlmcp_worker_restarts_total") == 1
    assert server.sample("erlmcp_requests_total", method="tools/call") == before + 20
    assert server.sample("erlmcp_process_cpu_seconds_total") >= cpu
    assert server.read("/ready").status == 200


def test_a_guest_that_ends_its_process_costs_one_call_and_the_port_stays_open(serve, until):
    server = serve().started()
    connection = server.connect()
    try:
        connection.call("die")
        raise AssertionError("the call cannot succeed")
    except (http.client.HTTPException, ConnectionError):
        connection.close()
    # the master holds the listening socket, so this connection waits for the next worker
    assert server.call("who")
    died = [line for line in server.events() if line["event"] == "worker.died"]
    assert [line["status"] for line in died] == [7]


@pytest.mark.parametrize("calls_before", [0, 2], ids=["first call", "answered at once"])
def test_a_tool_that_raises_system_exit_has_failed_and_its_worker_serves_on(serve, calls_before):
    server = serve().started()
    connection = server.connect()
    for _ in range(calls_before):  # then head and envelope are known, and the tool never waits
        assert connection.call("leave", code=0) == "stayed"
    connection.send("tools/call", {"name": "leave", "arguments": {"code": 5}})
    assert b'"code":-32603' in connection.http.getresponse().read()
    assert connection.call("who").split()[0] == str(server.generation("g1")["workers"][0])
    assert server.sample("erlmcp_worker_restarts_total") == 0


def test_a_warm_generation_that_loses_its_worker_is_whole_again_for_the_way_back(serve, until):
    server = serve().started()
    server.stage("g2", env={"GUEST_VERSION": "2"})
    server.activate("g2")
    until(lambda: server.generation("g1")["state"] == "warm")
    (victim,) = server.generation("g1")["workers"]
    os.kill(victim, signal.SIGKILL)
    until(lambda: server.generation("g1")["workers"] not in ([], [victim]))
    assert server.call("who").endswith(" 2")
    assert server.activate("g1").status == 200
    assert server.call("who").endswith(" 0")


def test_workers_that_die_again_and_again_fail_the_generation_visibly(serve, until):
    server = serve().started()
    server.stage("doomed", target="doomed:server")
    shown = until(lambda: (now := server.generation("doomed"))["state"] == "failed" and now, timeout_s=60)
    assert "died 6 times" in shown["error"]
    assert shown["workers"] == []
    assert shown["restarts"] == 5
    assert server.call("who")
    assert server.activate("doomed").json["error"]["id"] == "generations.not-ready"


@pytest.mark.behaviour("death.of-the-master", transport="http", era="any")
def test_workers_drain_and_end_when_the_master_is_killed(serve, until):
    server = serve("--workers", "2").started()
    workers = server.generation("g1")["workers"]
    connection = server.connect()
    connection.send("tools/call", {"name": "slow", "arguments": {"seconds": 0.5}})
    until(lambda: server.generation("g1")["in_flight"] == 1)
    server.process.kill()
    assert b"done" in connection.http.getresponse().read()
    until(lambda: not any(_alive(pid) for pid in workers))


def test_a_control_socket_that_a_killed_server_left_behind_is_taken_over(serve):
    first = serve().started()
    first.process.kill()
    first.process.wait(5)
    assert first.control.exists()
    second = serve("--control", str(first.control)).started()
    second.control = first.control
    assert second.act("GET", "/health").json["pid"] == second.process.pid
