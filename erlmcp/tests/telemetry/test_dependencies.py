"""Calls of what a guest depends on are counted; what it needs and cannot reach makes it not ready."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

import erlmcp
from erlmcp.telemetry.dependencies import DOWN_FOR_S, FAILURES, MAX_NEEDED, Dependencies, components
from erlmcp.telemetry.totals import Totals


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def _call(dependencies, name="db", fault=None, times=1):
    for _ in range(times):
        if fault is None:
            with dependencies.dependency(name):
                continue
        with pytest.raises(type(fault)) as raised, dependencies.dependency(name):
            raise fault
        assert raised.value is fault


def _status(*all_dependencies):
    [component] = components([each.snapshot() for each in all_dependencies])
    assert component["critical"]
    return component["status"]


def _needing(clock):
    made = Dependencies(clock)
    made.needs("db")
    return made


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(None, "ok"), (OSError(), "error"), (SystemExit(), "error"), (asyncio.CancelledError(), "cancelled")],
)
def test_a_call_is_counted_by_how_it_ended_and_what_it_raises_is_passed_on(fault, outcome):
    dependencies = Dependencies()
    _call(dependencies, fault=fault)
    counted = dependencies.snapshot()["dependencies"]["db"]
    assert counted["outcomes"] == {outcome: 1}
    assert sum(counted["buckets"]) == 1
    assert 0 < counted["sum_s"] < 10


def test_calls_of_many_threads_are_all_counted():
    dependencies = Dependencies()
    threads = [threading.Thread(target=_call, args=(dependencies, "db", None, 500)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert dependencies.snapshot()["dependencies"]["db"]["outcomes"] == {"ok": 4_000}


def test_what_is_needed_is_up_until_calls_have_failed_in_a_row(clock):
    dependencies = _needing(clock)
    assert _status(dependencies) == "up"
    _call(dependencies, fault=OSError(), times=FAILURES - 1)
    _call(dependencies)
    _call(dependencies, fault=OSError(), times=FAILURES - 1)
    assert _status(dependencies) == "up"
    clock.now += 1
    _call(dependencies, fault=OSError())
    assert _status(dependencies) == "down"
    clock.now += 1
    _call(dependencies)
    assert _status(dependencies) == "up"


def test_calls_that_were_cancelled_say_nothing_about_it(clock):
    dependencies = _needing(clock)
    _call(dependencies, fault=asyncio.CancelledError(), times=10 * FAILURES)
    assert _status(dependencies) == "up"


def test_without_calls_it_counts_as_up_again_so_that_one_can_find_out(clock):
    dependencies = _needing(clock)
    _call(dependencies, fault=OSError(), times=FAILURES)
    clock.now += DOWN_FOR_S - 0.1
    assert _status(dependencies) == "down"
    clock.now += 0.2
    assert _status(dependencies) == "up"
    _call(dependencies, fault=OSError())
    assert _status(dependencies) == "down", "the first call that fails again is enough"


def test_of_several_workers_the_last_that_was_heard_counts(clock):
    one, other, idle = (_needing(clock) for _ in range(3))
    _call(one)
    clock.now += 1
    _call(other, fault=OSError(), times=FAILURES)
    clock.now += 1
    assert _status(one, other, idle) == "down"
    _call(one)
    assert _status(one, other, idle) == "up"


def test_what_is_only_called_makes_nobody_wait(clock):
    dependencies = Dependencies(clock)
    _call(dependencies, fault=OSError(), times=100)
    assert components([dependencies.snapshot(), {}]) == []


def test_counts_of_several_workers_and_of_those_that_have_ended_are_added():
    one, other = Dependencies(), Dependencies()
    _call(one, times=3)
    _call(other, fault=OSError(), times=2)
    totals = Totals()
    totals.keep(one.snapshot(), cpu_s=0)
    older = Totals()
    older.add(totals)
    counts = older.with_living([other.snapshot()])
    assert counts.dependencies["db"].outcomes == {"ok": 3, "error": 2}
    assert sum(counts.dependencies["db"].buckets) == 5


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "é", "-a", "a" * 65, 'a"b'])
def test_a_name_that_could_spoil_a_page_is_refused(name):
    for refuse in (Dependencies().needs, Dependencies().dependency):
        with pytest.raises(ValueError, match="expected letters"):
            refuse(name)


def test_not_more_can_be_needed_than_a_page_can_show():
    dependencies = Dependencies()
    for number in range(MAX_NEEDED):
        dependencies.needs(f"d{number}")
    dependencies.needs("d0")
    with pytest.raises(ValueError, match="too many"):
        dependencies.needs("more")


def test_without_a_server_a_guest_runs_as_if_it_were_not_there():
    erlmcp.needs("nowhere")
    with erlmcp.dependency("nowhere"):
        pass


def test_it_loads_neither_the_server_nor_the_sdk():
    code = "import erlmcp, sys; print({'mcp', 'starlette', 'uvloop'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"


GUEST = """
import os
import erlmcp
from mcp.server import MCPServer

server = MCPServer("dependent")
erlmcp.needs("db")

@server.tool()
async def ask(fails: bool) -> str:
    with erlmcp.dependency("db"):
        if fails:
            raise ConnectionError("no database")
    return str(os.getpid())
"""


def _ask(server, times, **arguments):
    for _ in range(times):
        connection = server.connect()
        connection.send("tools/call", {"name": "ask", "arguments": arguments})
        connection.http.getresponse().read()
        connection.close()


def test_a_server_whose_guest_cannot_reach_what_it_needs_is_not_ready(serve, until, tmp_path):
    (tmp_path / "dependent.py").write_text(GUEST)
    server = serve("--workers", "2", target=f"{tmp_path / 'dependent.py'}:server").started()
    until(lambda: server.read("/ready").status == 200)
    _ask(server, 20, fails=True)
    until(lambda: server.read("/ready").status == 503)
    down = next(e for e in server.read("/ready").json["components"] if e["name"] == "dependency:db")
    assert down["status"] == "down"
    assert server.sample("erlmcp_component_up", component="dependency:db") == 0
    assert server.sample("erlmcp_dependency_calls_total", dependency="db", outcome="error") == 20
    _ask(server, 5, fails=False)
    until(lambda: server.read("/ready").status == 200)
    assert server.sample("erlmcp_dependency_calls_total", dependency="db", outcome="ok") == 5
    assert server.sample("erlmcp_dependency_duration_seconds_count", dependency="db") == 25
