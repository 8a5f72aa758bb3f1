"""The master gives way to its workers; they run as the server was started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def workers_of(server):
    return [
        int(each)
        for each in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    ]


@pytest.mark.skipif(os.sched_getscheduler(0) != os.SCHED_OTHER, reason="these tests run as something else")
def test_the_master_gives_way_to_its_workers_where_they_share_a_processor(serve):
    server = serve().started()
    workers = workers_of(server)
    assert workers
    assert os.sched_getscheduler(server.process.pid) == os.SCHED_BATCH
    for worker in workers:
        threads = [int(each.name) for each in Path(f"/proc/{worker}/task").iterdir()]
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}


@pytest.mark.parametrize("policy", [os.SCHED_BATCH, os.SCHED_IDLE])
def test_who_starts_a_server_otherwise_gets_its_workers_so(serve, policy):
    usual = os.sched_getscheduler(0)
    os.sched_setscheduler(0, policy, os.sched_param(0))
    try:
        server = serve().started()
    finally:
        os.sched_setscheduler(0, usual, os.sched_param(0))
    assert {os.sched_getscheduler(pid) for pid in (server.process.pid, *workers_of(server))} == {policy}
