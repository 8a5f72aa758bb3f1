"""The part of the metrics page about limits and the place, as a running server shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from erlmcp.telemetry.capacity import Capacity, capacity_page

NAMES = {
    "erlmcp_start_time_seconds",
    "erlmcp_component_up",
    "erlmcp_connections_limit",
    "erlmcp_streams_limit",
    "erlmcp_in_flight_requests_limit",
    "erlmcp_threads_limit",
    "erlmcp_process_open_fds",
    "erlmcp_process_max_fds",
    "erlmcp_memory_used_bytes",
    "erlmcp_memory_limit_bytes",
    "erlmcp_cpu_cores",
    "erlmcp_disk_free_bytes",
    "erlmcp_disk_size_bytes",
}


def test_the_page_has_exactly_the_names_of_the_contract():
    page = capacity_page(Capacity(1.0, [], [], [], 2.0, [])).decode()
    assert {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")} == NAMES


def test_no_name_stands_in_both_parts_of_the_page(server):
    families = [each.name for each in text_string_to_metric_families(server.read("/metrics").body.decode())]
    assert len(families) == len(set(families))
    assert set(families) >= NAMES


def test_limits_are_those_of_all_workers_together(serve):
    server = serve("--workers", "2", env={"ERLMCP_HTTP__MAX_CONNECTIONS": "7"}).started()
    assert server.sample("erlmcp_connections_limit", generation="g1") == 14
    assert server.sample("erlmcp_in_flight_requests_limit", generation="g1") == 2_000
    assert server.sample("erlmcp_streams_limit", generation="g1") == 40_000
    assert server.sample("erlmcp_threads_limit", generation="g1") == 200


def test_an_open_connection_is_an_open_descriptor(server):
    before = server.sample("erlmcp_process_open_fds")
    connections = [server.connect() for _ in range(5)]
    for each in connections:
        each.call("who")
    try:
        assert server.sample("erlmcp_process_open_fds") >= before + 5
        assert server.sample("erlmcp_process_max_fds") > server.sample("erlmcp_process_open_fds")
    finally:
        for each in connections:
            each.close()


def test_a_part_that_is_down_is_shown_as_down(serve, until):
    server = serve().started()
    assert server.sample("erlmcp_component_up") == 3
    assert server.sample("erlmcp_component_up", component="http", critical="true") == 1
    assert server.act("POST", "/generations/g1/drain").status == 200
    assert server.sample("erlmcp_component_up", component="http") == 0
    assert server.sample("erlmcp_component_up", component="guest") == 1


def test_the_volume_of_the_log_is_shown_when_there_is_one(serve, tmp_path):
    server = serve(env={"ERLMCP_LOG__FILE": str(tmp_path / "log.jsonl")}).started()
    told = os.statvfs(tmp_path)
    for volume in ("work", "log"):
        assert server.sample("erlmcp_disk_size_bytes", volume=volume) == told.f_blocks * told.f_frsize


def test_the_limit_of_the_control_group_is_seen_from_inside(serve):
    """A real group with a limit; needs the right to make one."""
    parent = next((each for each in _memory_groups() if os.access(each, os.W_OK)), None)
    if parent is None or os.geteuid() != 0:
        pytest.skip("no control group of this machine can be written")
    server = serve().started()
    group = parent / f"erlmcp-test-{server.process.pid}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(512 * 1024 * 1024))
        assert server.sample("erlmcp_memory_limit_bytes", bound="cgroup") != 512 * 1024 * 1024
        (group / "cgroup.procs").write_text(str(server.process.pid))
        assert server.sample("erlmcp_memory_limit_bytes", bound="cgroup") == 512 * 1024 * 1024
        assert 0 < server.sample("erlmcp_memory_used_bytes", bound="cgroup") < 512 * 1024 * 1024
    finally:
        server.stop()
        group.rmdir()


def _memory_groups():
    """The folder of this process in the older interface, which lets a group be made beside others."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield Path("/sys/fs/cgroup/memory") / path.lstrip("/")
