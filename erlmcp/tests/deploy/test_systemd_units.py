"""The units of systemd: what its own tools say of them, and a server that is started as they say."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from notified import Manager
from units import FOLDER, SERVICE, SOCKET, command, environment, moved, settings

from erlmcp.config.schema import Settings

ACTIVATION = Path(__file__).parents[1] / "socket_activation.py"
PROGRAM = Path(sys.executable).parent / "erlmcp"
MAX_EXPOSURE = 20
"""Of 100, by the judgement of systemd-analyze; a unit without any hardening has 96."""


@pytest.fixture(scope="session")
def analyze(program):
    found = program("systemd-analyze", "systemd")

    def run(*arguments):
        done = subprocess.run(
            [found, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def installed(tmp_path):
    """Write the units with their folders below tmp_path; change them with pairs of texts."""

    def write(*changes):
        for unit in (SERVICE, SOCKET):
            text = moved(unit.read_text(), tmp_path, PROGRAM)
            for old, new in changes if unit == SERVICE else ():
                assert old in text
                text = text.replace(old, new)
            (tmp_path / unit.name).write_text(text)
        return tmp_path / SERVICE.name

    return write


def verified(analyze, unit):
    """What systemd-analyze finds in our units; what the machine's own units lack is not ours."""
    _, told = analyze("verify", "--man=no", "--recursive-errors=no", unit, unit.with_suffix(".socket"))
    return [line for line in told.splitlines() if "erlmcp" in line]


def test_systemd_understands_every_line_of_the_units(analyze, installed):
    assert verified(analyze, installed()) == []


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("Type=notify", "Typ=notify"),
        ("KillMode=mixed", "KillMode=gently"),
        ("serve server:mcp", "serve 'server:mcp"),
        (str(PROGRAM), "/nowhere/erlmcp"),
    ],
)
def test_a_line_that_systemd_would_pass_over_is_seen(analyze, installed, line, broken):
    assert verified(analyze, installed((line, broken))) != []


def exposure(analyze, unit):
    _, told = analyze("security", "--offline=true", "--no-pager", unit)
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1]) * 10


def test_the_service_is_hardened(analyze, installed):
    assert exposure(analyze, installed()) <= MAX_EXPOSURE


@pytest.mark.parametrize(
    "line", ["User=erlmcp\n", "SystemCallFilter=@system-service\n", "CapabilityBoundingSet=\n"]
)
def test_a_hardening_that_is_taken_out_shows(analyze, installed, line):
    whole = exposure(analyze, installed())
    assert exposure(analyze, installed((line, ""))) > whole


def test_the_user_of_the_service_is_made(program, tmp_path):
    made = program("systemd-sysusers", "systemd")
    (tmp_path / "etc").mkdir()
    subprocess.run(
        [made, f"--root={tmp_path}", FOLDER / "erlmcp.sysusers.conf"],
        check=True,
        timeout=60,
        capture_output=True,
    )
    users = (tmp_path / "etc/passwd").read_text()
    assert re.search(r"^erlmcp:.*nologin$", users, re.MULTILINE), users
    assert settings(SERVICE.read_text())["User"] == ["erlmcp"]


@pytest.fixture
def place(tmp_path):
    """What the administrator has put into its folders."""
    app, etc, run, credentials = (
        tmp_path / each for each in ("opt/erlmcp/app", "etc/erlmcp", "run/erlmcp", "credentials")
    )
    for folder in (app, etc, run, credentials):
        folder.mkdir(parents=True)
    (app / "server.py").write_text("from mcp.server import MCPServer\nmcp = MCPServer('served')\n")
    (etc / "erlmcp.toml").write_text("workers = 1\n")
    keys = credentials / "session-keys"
    keys.write_text(secrets.token_hex(32))
    keys.chmod(0o400)
    return tmp_path


def test_a_server_starts_and_ends_as_the_units_say(installed, place, until):
    unit = settings(installed().read_text())
    manager = Manager(str(place / "notify"))
    handed = settings(SOCKET.read_text())
    assert handed["ListenStream"] == ["127.0.0.1:8080"]
    line = " ".join(command(unit)).replace("127.0.0.1:9464", "127.0.0.1:0").split(" ")
    process = subprocess.Popen(
        [sys.executable, str(ACTIVATION), f"{handed['FileDescriptorName'][0]}=127.0.0.1:0", "--", *line],
        cwd=unit["WorkingDirectory"][0],
        env={
            **os.environ,
            **environment(unit, place / "credentials"),
            "NOTIFY_SOCKET": str(place / "notify"),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: manager.values("READY") or process.poll() is not None, 30.0)
        assert process.poll() is None, process.stderr.read()
        assert manager.values("STATUS")[-1] == "served 0, generation g1"
        assert manager.values("WATCHDOG")
        told = subprocess.run(
            [PROGRAM, "generations", "--control", line[-1]],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert told.stdout.startswith("g1  active")
        assert (Path(line[-1]).stat().st_mode & 0o777) == 0o600
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        until(lambda: manager.values("STOPPING"))
    finally:
        process.kill()
        process.communicate()
        manager.close()


def test_the_numbers_of_the_unit_agree_with_those_of_the_server():
    unit = settings(SERVICE.read_text())
    defaults = Settings()
    assert int(unit["WatchdogSec"][0]) >= 10, "a busy machine is no hanging server"
    assert int(unit["LimitNOFILE"][0]) > defaults.http.max_connections
    assert "TimeoutStopSec" not in unit, "the server asks for the time that its configuration gives a drain"
    assert unit["KillMode"] == ["mixed"], "workers are ended by the master, after their requests"
