"""What the service manager hears (``Type=notify``): over a real socket, from a real server."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from notified import Manager

from erlmcp.config.log_settings import LogSettings
from erlmcp.supervisor.service_manager import ServiceManager
from erlmcp.telemetry import logs


@pytest.fixture
def manager(tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


@pytest.fixture
def asked(tmp_path):
    """The environment of a service with these limits."""
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}


def test_a_server_says_when_it_is_ready_what_it_serves_and_that_it_ends(serve, manager, asked, until):
    server = serve("--version-label", "1.0.0", env=asked).started()
    until(lambda: manager.values("READY"))
    assert manager.values("STATUS")[:2] == ["starting", "guest 1.0.0, generation g1"]
    assert int(manager.heard[0]["EXTEND_TIMEOUT_USEC"]) > 30_000_000
    server.stage("g2", version="1.1.0")
    server.act("POST", "/generations/g2/activate")
    until(lambda: manager.values("STATUS")[-1] == "guest 1.1.0, generation g2")
    assert not manager.values("STOPPING")
    assert server.stop() == 0
    until(lambda: manager.values("STOPPING"))
    assert len(manager.values("READY")) == 1


def test_a_server_whose_guest_does_not_start_never_says_that_it_is_ready(serve, manager, asked):
    assert serve(env={**asked, "GUEST_BROKEN": "here"}).wait() == 1
    assert manager.values("STATUS") == ["starting"]
    assert not manager.values("READY")


def test_the_watchdog_hears_of_a_server_that_lives_and_not_of_one_that_hangs(serve, manager, asked, until):
    server = serve(env=asked).started()
    before = len(manager.values("WATCHDOG"))
    until(lambda: len(manager.values("WATCHDOG")) >= before + 3)
    os.kill(server.process.pid, signal.SIGSTOP)  # as a loop that turns no more
    try:
        quiet = threading.Event()
        quiet.wait(0.3)
        seen = len(manager.values("WATCHDOG"))
        quiet.wait(1.0)
        assert len(manager.values("WATCHDOG")) == seen
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    until(lambda: len(manager.values("WATCHDOG")) > seen)


def test_guests_cannot_speak_to_the_manager(serve, manager, asked):
    server = serve(env=asked).started()
    assert {server.call("environment", name=name) for name in asked} == {"unset"}


def test_a_name_with_lines_in_it_gives_no_orders(manager, asked, until):
    ServiceManager(asked).ready("guest\nMAINPID=1\r\nWATCHDOG=trigger")
    until(lambda: manager.heard)
    assert manager.heard == [{"READY": "1", "STATUS": "guest MAINPID=1 WATCHDOG=trigger"}]


def test_an_abstract_address_is_reached(until):
    name = f"erlmcp-test-{os.getpid()}"
    manager = Manager("\0" + name)
    ServiceManager({"NOTIFY_SOCKET": "@" + name}).status("here")
    until(lambda: manager.values("STATUS") == ["here"])
    manager.close()


def test_a_manager_that_is_gone_is_logged_once_and_hurts_nobody(tmp_path, capfd):
    logs.configure(LogSettings(), descriptor=2)
    gone = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    gone.ready("x")
    gone.stopping(1.0)
    assert capfd.readouterr().err.count("service-manager.unreachable") == 1


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, None),
        ({"NOTIFY_SOCKET": "/x"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
    ],
)
def test_the_watchdog_is_told_a_third_of_its_limit_apart_if_it_is_meant_for_us(environ, expected):
    assert ServiceManager(environ).alive_every_s == expected
