"""Injected faults: each does what it says, in every worker, until its time is up, and never in production."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def staging(serve_for_module):
    return serve_for_module("--workers", "2", env={"ERLMCP_ENVIRONMENT": "staging"}).started()


@pytest.fixture
def inject(staging):
    """Inject faults that end with the test."""
    names = []

    def put(name, **figures):
        names.append(name)
        answer = staging.act("PUT", f"/faults/{name}", figures)
        assert answer.status == 200, answer.body
        return answer.json

    yield put
    for name in names:
        assert staging.act("DELETE", f"/faults/{name}").status == 200


def _asked(server, tool="who", times=1, **arguments):
    """The outcomes of some calls on one connection, so that they take the shortest way."""
    connection = server.connect()
    outcomes = []
    for _ in range(times):
        connection.send("tools/call", {"name": tool, "arguments": arguments})
        outcomes.append(connection.http.getresponse().read())
    connection.close()
    return [b"-32603" in each for each in outcomes]


def test_a_share_of_the_requests_fails_on_the_shortest_way_too_and_none_afterwards(staging, inject):
    for tool, arguments in (("who", {}), ("leave", {"code": 0})):  # the second never waits
        assert not any(_asked(staging, tool, 5, **arguments))
        assert inject("errors")["workers"] == 2
        assert all(_asked(staging, tool, 20, **arguments))
        inject("errors", share=0.5)
        assert 10 < sum(_asked(staging, tool, 100, **arguments)) < 90
        staging.act("DELETE", "/faults/errors")
        assert not any(_asked(staging, tool, 20, **arguments))


def test_requests_wait_when_latency_is_injected(staging, inject):
    inject("latency", seconds=0.3)
    assert staging.call("who")
    assert staging.sample("erlmcp_request_duration_seconds_sum", method="tools/call") >= 0.3


def test_memory_is_taken_and_given_back(staging, inject, until):
    def resident():
        return staging.sample("erlmcp_process_resident_memory_bytes")

    before = resident()
    inject("memory", bytes=64 * 1024**2)
    until(lambda: resident() > before + 100 * 1024**2)
    staging.act("DELETE", "/faults/memory")
    until(lambda: resident() < before + 64 * 1024**2)


def test_an_event_loop_that_stands_still_is_noticed(staging, inject, until):
    inject("loop-block", seconds=2)
    until(lambda: staging.sample("erlmcp_event_loop_lag_seconds") >= 1.5)


def test_a_component_that_is_called_down_makes_the_server_not_ready(staging, inject):
    assert staging.read("/ready").status == 200
    inject("component-down", component="guest")
    answer = staging.read("/ready")
    assert (answer.status, answer.json["status"]) == (503, "not-ready")
    assert staging.sample("erlmcp_component_up", component="guest") == 0
    staging.act("DELETE", "/faults/component-down")
    assert staging.read("/ready").status == 200


def test_what_is_injected_is_to_be_seen_everywhere_and_logged_with_who_asked(staging, inject, until):
    inject("errors", share=0.25)
    [shown] = staging.read("/faults").json
    assert (shown["name"], shown["share"], 0 < shown["left_s"] <= 60) == ("errors", 0.25, True)
    ready = staging.read("/ready").json
    assert {"name": "faults", "status": "down", "critical": False, "detail": "errors"} in ready["components"]
    assert ready["status"] == "ready"
    metrics = staging.read("/metrics").body.decode()
    assert 'erlmcp_component_up{component="faults",critical="false"} 0.0' in metrics
    user = pwd.getpwuid(os.getuid()).pw_name
    who = {"event": "control.done", "act": "inject-fault", "peer_uid": os.getuid(), "peer_user": user}
    until(lambda: any(who.items() <= line.items() for line in staging.events()))
    assert any(line["event"] == "fault.injected" and line["share"] == 0.25 for line in staging.events())


def test_a_fault_ends_by_itself_in_master_and_workers(staging, inject, until):
    inject("errors", for_s=0.3)
    until(lambda: staging.read("/faults").json == [])
    until(lambda: not any(_asked(staging, times=5)))
    ended = {"event": "fault.ended", "why": "its time is up"}
    until(lambda: any(ended.items() <= line.items() for line in staging.events()))


def test_a_worker_that_starts_meanwhile_has_the_fault_too(staging, inject, until):
    inject("errors")
    url = staging.stage("newcomer").json["private_url"]

    def fails():
        connection = staging.connect(url + "/mcp")
        connection.send("tools/call", {"name": "who", "arguments": {}})
        answer = connection.http.getresponse().read()
        connection.close()
        return b"-32603" in answer

    until(fails)
    staging.retire("newcomer")


def test_no_fault_is_injected_in_production(server):
    for name in ("errors", "latency", "memory", "loop-block", "component-down"):
        answer = server.act("PUT", f"/faults/{name}", {})
        assert (answer.status, answer.json["error"]["id"]) == (403, "faults.production")
    assert server.read("/faults").json == []
    assert not any(_asked(server, times=5))


@pytest.mark.parametrize(
    "figures",
    [
        {"for_s": 3_601},
        {"for_s": 0},
        {"share": 1.01},
        {"share": 0},
        {"seconds": 31},
        {"bytes": 4 * 1024**3 + 1},
        {"x": 1},
    ],
)
def test_a_figure_beyond_its_ceiling_is_refused(staging, figures):
    answer = staging.act("PUT", "/faults/errors", figures)
    assert (answer.status, answer.json["error"]["id"]) == (400, "faults.bad-fault")
    assert staging.read("/faults").json == []


def test_the_admin_listener_injects_nothing(staging):
    assert staging.read("/faults/errors", "PUT").status in {404, 405}
    assert staging.read("/faults").json == []


def _command(server, *arguments):
    command = [sys.executable, "-m", "erlmcp.cli.main", "fault", *arguments, "--control", str(server.control)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_injects_and_ends(staging, server):
    began = _command(staging, "latency", "--for-s", "30", "--seconds", "0.01")
    assert (began.returncode, began.stdout) == (0, "latency for 30 s in 2 workers\n")
    assert _command(staging, "latency", "--end").stdout == "latency ended\n"
    assert staging.read("/faults").json == []
    refused = _command(server, "latency")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error[faults.production]")
