"""gonogo deploy against a real erlmcp that serves notes under load: followed, detached, attached, refused,
rolled back by itself and by a person, and told afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cli_world import closed_port, git, new_key

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.model.errors import GonogoError

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
CONFIGURATION = """\
[service]
name = "notes"

[release]
artefact = ["src"]

[environments.production]
base_url = "http://127.0.0.1:{http}"
admin_url = "http://127.0.0.1:{admin}"
control = "run/control.sock"
profile = "small"
drain_timeout_s = 3

[environments.production.thresholds]
watch_s = 20
step_s = 0.5
sustained_s = 3
unhealthy_s = 3
baseline_s = 3
latency_ratio = 200
memory_ratio = 10

[profiles.small]
reason = "what a test can show"
checks = ["build.no-hardcoded-secrets"]

[people.ada]
name = "Ada Example"
email = "ada@example.com"
phone = "+44 20 7946 0000"
roles = ["primary"]
ssh_keys = ["{key}"]
"""


@pytest.fixture
def stand(tmp_path):
    """The notes example in a repository of its own, 1.0.0 served by erlmcp, calls without pause."""
    repo = tmp_path / "notes"
    shutil.copytree(
        ROOT / "examples" / "notes" / "src", repo / "src", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "examples" / "notes" / "releases", repo / "releases")
    (repo / "run").mkdir()
    http, admin = closed_port(), closed_port()
    text = CONFIGURATION.format(http=http, admin=admin, key=new_key(tmp_path / "ada"))
    (repo / "gonogo.toml").write_text(text)
    (repo / ".gitignore").write_text("run/\n__pycache__/\n")
    git(repo, "init", "-q")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "one")
    with (tmp_path / "erlmcp.log").open("wb") as log:
        server = subprocess.Popen(
            [
                BIN / "erlmcp", "serve", "notes.server:server", "--http", f"127.0.0.1:{http}",
                "--admin", f"127.0.0.1:{admin}", "--control", str(repo / "run" / "control.sock"),
                "--version-label", "1.0.0",
            ],
            cwd=repo / "src",
            env={**os.environ, "NOTES_RELEASE": "1.0.0", "NOTES_DATABASE": str(tmp_path / "notes.sqlite")},
            stdout=log,
            stderr=log,
        )  # fmt: skip
    stop = threading.Event()
    load = threading.Thread(target=lambda: asyncio.run(_load(f"http://127.0.0.1:{http}/mcp", stop)))
    try:
        _wait(lambda: _answers(f"http://127.0.0.1:{admin}/ready"), 30)
        load.start()
        yield repo
    finally:
        stop.set()
        if load.is_alive():
            load.join(20)
        server.terminate()
        server.wait(20)


async def _load(endpoint: str, stop: threading.Event) -> None:
    async with HttpReader() as http:
        client = McpClient(endpoint, http, Era.MODERN)
        for number in range(30):  # enough that a search has more than one page, which is what 1.2.0 leaks on
            await client.call_tool("create_note", {"title": f"note {number}", "body": "milk and more milk"})
        while not stop.is_set():
            with contextlib.suppress(GonogoError):
                await client.call_tool("search_notes", {"query": "milk"})
            await asyncio.sleep(0.005)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def _wait(condition, timeout_s: float) -> None:
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        pause.wait(0.05)


def _until(process: subprocess.Popen, pattern: str) -> str:
    """What the process says until a line matches; bounded by the test's own time-out."""
    said = ""
    for line in process.stderr:
        said += line
        if re.search(pattern, line):
            return said
    raise AssertionError(f"it ended without saying {pattern!r}:\n{said}")


def _finished(spawn, stand: Path, done, version: str):
    """A busy machine may leave the watch without proof; then a person decides, as anyone would."""
    if done.code != 3:
        return done
    assert "waiting" in done.out.lower()
    decided = spawn("-C", stand, "decide", "accept", "--as", "ada", "--reason", "the machine was busy")
    assert decided.out.endswith(f"next: gonogo deploy {version} --resume\n")
    return spawn("-C", stand, "deploy", version, "--resume", "--json")


@pytest.fixture
def meanwhile():
    """Runs something beside the test."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.timeout(180)  # two deployments, each with a watch of some seconds that must really pass
def test_a_release_goes_out_outlives_its_terminal_and_a_bad_one_comes_back(stand, spawn, meanwhile):
    only = ("--only", "build.no-hardcoded-secrets")
    assert spawn("-C", stand, "deploy", "1.1.0", "--attach").err.startswith("error[deploy.not-running]")
    assert spawn("-C", stand, "deploy", "1.1.0").code == 3  # nothing was checked yet: HOLD
    assert spawn("-C", stand, "check", "1.1.0", *only).code == 0

    following = subprocess.Popen(
        [sys.executable, "-m", "gonogo.cli", "-C", str(stand), "deploy", "1.1.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(following, r"✓ switch .* 1\.0\.0 → 1\.1\.0 in ")
    second_try = meanwhile.submit(
        spawn, "-C", stand, "deploy", "1.1.0"
    )  # the watch is not long on a busy machine
    following.send_signal(signal.SIGINT)
    _out, err = following.communicate(timeout=20)
    assert following.returncode == 3
    assert "detached: the deployment goes on in process" in err
    assert "gonogo deploy 1.1.0 --attach" in err
    assert "gonogo rollback --reason" in err

    running = json.loads(spawn("-C", stand, "status", "--json").out)
    assert running["deployment"]["ending"] is None
    assert running["deployment"]["holder"]
    second = second_try.result(timeout=60)
    assert second.code == 1
    assert "error[deploy.locked]" in second.err
    assert f"process {running['deployment']['holder'].rsplit(' ', 1)[1]}" in second.err

    attached = _finished(spawn, stand, spawn("-C", stand, "deploy", "1.1.0", "--attach", "--json"), "1.1.0")
    assert attached.code == 0, attached.err
    assert json.loads(attached.out)["ending"] == "done"
    assert "✓ switch" in spawn("-C", stand, "deploy", "1.1.0", "--attach").err  # told again afterwards

    assert spawn("-C", stand, "check", "1.2.0", *only).code == 0
    bad = spawn("-C", stand, "deploy", "1.2.0")
    assert bad.code == 1
    assert "✗ watch" in bad.err
    assert "ROLLED BACK  1.2.0: " in bad.out
    assert "served again" in bad.out
    assert json.loads(spawn("-C", stand, "status", "--json").out)["serving"]["version"] == "1.1.0"

    page = stand / "run" / "report.html"
    assert spawn("-C", stand, "report", "--version", "1.2.0", "-o", page).code == 0
    text = page.read_text()
    assert "ROLLED BACK" in text
    assert text.count('<svg class="chart"') == 2
    assert "verdict: roll back" in text

    back = spawn("-C", stand, "rollback", "--reason", "a second thought")
    assert (back.code, "error[rollback.nothing]" in back.err) == (1, True)
    assert spawn("-C", stand, "verify").code == 0


@pytest.mark.slow
@pytest.mark.timeout(120)  # a deployment whose process is killed, finished by another
def test_a_killed_deployment_is_told_as_interrupted_and_finished_by_resume(stand, spawn):
    assert spawn("-C", stand, "check", "1.1.0", "--only", "build.no-hardcoded-secrets").code == 0
    following = subprocess.Popen(
        [sys.executable, "-m", "gonogo.cli", "-C", str(stand), "deploy", "1.1.0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _until(following, r"✓ switch")
    holder = json.loads(spawn("-C", stand, "status", "--json").out)["deployment"]["holder"]
    os.kill(int(holder.rsplit(" ", 1)[1]), signal.SIGKILL)
    _, err = following.communicate(timeout=20)
    assert following.returncode == 1
    assert "error[deploy.interrupted]" in err
    status = spawn("-C", stand, "status")
    assert "interrupted 1.1.0" in status.out
    assert status.out.rstrip().endswith("next: gonogo deploy 1.1.0 --resume")
    refused = spawn("-C", stand, "deploy", "1.1.0")
    assert (refused.code, "error[deploy.unfinished]" in refused.err) == (1, True)

    resumed = spawn("-C", stand, "deploy", "1.1.0", "--resume", "--json")
    resumed = _finished(spawn, stand, resumed, "1.1.0")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["ending"] == "done"
    back = spawn("-C", stand, "rollback", "--reason", "a second thought", "--json")
    assert back.code == 0, back.err
    assert json.loads(back.out)["ending"] == "rolled-back"
    assert json.loads(spawn("-C", stand, "status", "--json").out)["serving"]["version"] == "1.0.0"
