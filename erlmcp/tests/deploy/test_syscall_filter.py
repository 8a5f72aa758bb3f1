"""A server works under the system call filter of its unit, and its guest can do nothing that it forbids."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from trying import FORBIDDEN
from units import SERVICE

HERE = Path(__file__).parent
GUEST = f"{HERE / 'trying.py'}:server"


@pytest.fixture
def filtered(program, serve, tmp_path):
    """Start a server under the filter of the unit, to which lines may be added."""
    program("systemd-analyze", "systemd")

    def start(*arguments, more="", **options):
        unit = tmp_path / "erlmcp.service"
        unit.write_text(
            SERVICE.read_text().replace("SystemCallErrorNumber=", f"{more}SystemCallErrorNumber=")
        )
        prefix = (sys.executable, str(HERE / "syscall_filter.py"), str(unit), "--")
        return serve(*arguments, target=GUEST, prefix=prefix, **options)

    return start


def test_a_server_does_all_its_work_under_the_filter(filtered, tmp_path):
    server = filtered(env={"ERLMCP_LOG__FILE": str(tmp_path / "log.jsonl")}).started()
    assert server.call("work_in_a_thread", a=1) == "2"
    assert server.call("run_a_program") == "ran"
    assert os.sched_getscheduler(server.process.pid) == os.SCHED_BATCH
    server.stage("g2", version="2", target=GUEST)
    assert server.activate("g2").status == 200
    assert server.call("work_in_a_thread", a=2) == "3"
    assert [server.read(path).status for path in ("/ready", "/metrics", "/dashboard")] == [200, 200, 200]
    assert server.stop() == 0
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines
    assert not [line for line in lines if line["level"] in {"warning", "error"}]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_guest_cannot_do_what_the_filter_forbids(filtered, what):
    assert filtered().started().call("attempt", what=what) == "EPERM"


def test_without_the_filter_it_could(serve):
    server = serve(target=GUEST).started()
    could = [what for what in FORBIDDEN if server.call("attempt", what=what) == "done"]
    assert {"another processor", "code that it wrote", "the kernel's sockets"} <= set(could)


def test_a_filter_that_lacks_what_a_server_needs_is_seen(filtered):
    assert filtered(more="SystemCallFilter=~@network-io\n").wait() != 0
