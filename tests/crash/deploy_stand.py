"""A real server under real traffic, and the real command line that deploys to it.

The server, its generations and the client that never retries run for as long as the stand. Commands are
processes; one that shall be killed is stopped from within at an exact moment (see ``freeze``), then found by
the lease and killed from outside.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from demo.calls import Call, expect, judge_search, tool
from demo.client import Caller, HandshakeCaller, Traffic
from demo.service import serving
from demo.tally import Tally
from demo.workspace import HOST, ROOT, Workspace

BIN = Path(sys.executable).parent
FREEZE = Path(__file__).with_name("freeze")
COMMAND_TIMEOUT_S = 120
CHECK = "build.no-hardcoded-secrets"
SEARCHERS, COUNTERS = 3, 2
CALL_EVERY_S = 0.2
BUSY_TIMES = 8
ROUNDS_OF_A_CONNECTION = 15
CONFIGURATION = """\
[service]
name = "notes"

[release]
artefact = ["src"]

[environments.production]
base_url = "http://127.0.0.1:{http}"
admin_url = "http://127.0.0.1:{admin}"
control = "{control}"
profile = "small"
drain_timeout_s = 3

[environments.production.thresholds]
watch_s = 1.25
watch_extensions = 6
step_s = 0.125
sustained_s = 1
unhealthy_s = 10
baseline_s = 2
error_ratio = 0.15
error_ratio_rollback = 0.2
latency_ratio = 200
memory_ratio = 10

[profiles.small]
reason = "what a test can show"
checks = ["build.no-hardcoded-secrets"]
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class Stand:
    """Everything a test of a killed deployment holds in its hands."""

    workspace: Workspace
    tally: Tally = field(default_factory=Tally)
    busy: threading.Event = field(default_factory=threading.Event)
    """Set: the clients call eight times as often, which is what 1.2.0 does not bear."""

    # --- commands ---------------------------------------------------------------------------------

    def gonogo(self, *arguments: str, freeze_at: str = "") -> subprocess.Popen[str]:
        """Start one command line; with ``freeze_at`` its deployment stops itself at that moment."""
        path = os.pathsep.join(filter(None, (str(FREEZE), os.environ.get("PYTHONPATH"))))
        extra = {"FREEZE_AT": freeze_at, "PYTHONPATH": path} if freeze_at else {}
        return subprocess.Popen(
            [BIN / "gonogo", "-C", str(self.workspace.service), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **extra},
        )

    def run(self, *arguments: str) -> Done:
        """Run one command line to its end."""
        return ended(self.gonogo(*arguments))

    def kill_at(
        self, moment: str, *arguments: str, or_when: Callable[[], object] = lambda: False
    ) -> tuple[str, Done]:
        """Run a deployment and kill its process at ``moment``, or earlier when something is seen.

        Returns the step in which it was killed, and how the command that was started ended.
        """
        process = self.gonogo(*arguments, freeze_at=moment)
        until(lambda: self.holder()[1] == "T" or or_when() or process.poll() is not None)
        if process.poll() is not None:
            raise AssertionError(f"it ended before {moment!r}: {ended(process)}")
        os.kill(self.holder()[0], signal.SIGKILL)
        return self.step_begun(), ended(process)

    def holder(self) -> tuple[int, str]:
        """The process that deploys, by the lease, and its state in the kernel; (0, "") if there is none."""
        try:
            pid = int(json.loads((self.state / "lease-production.json").read_text())["pid"])
            process = Path("/proc") / str(pid)
            ours = str(self.workspace.service).encode() in (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, ValueError):
            return 0, ""
        return (pid, state) if ours else (0, "")

    # --- looking ----------------------------------------------------------------------------------

    @property
    def state(self) -> Path:
        return self.workspace.service / ".gonogo"

    def rows(self) -> list[tuple[str, dict]]:
        """Kind and body of every entry of the journal, opened for nothing but reading."""
        connection = sqlite3.connect(f"file:{self.state / 'journal.sqlite'}?mode=ro", uri=True)
        try:
            found = connection.execute("SELECT kind, body FROM entries ORDER BY seq").fetchall()
        finally:
            connection.close()
        return [(kind, json.loads(body)) for kind, body in found]

    def step_begun(self) -> str:
        """The step that the journal says was begun last and is not finished; "" if there is none."""
        begun = ""
        for kind, body in self.rows():
            if kind == "step.started":
                begun = body["step"]
            elif kind == "step.finished" and body["step"] == begun:
                begun = ""
        return begun

    def last_started(self) -> dict:
        """The body of the last deployment's first entry."""
        return [body for kind, body in self.rows() if kind == "deployment.started"][-1]

    def announced(self) -> list[str]:
        """Lines of the announcements' file."""
        return (self.state / "announcements.jsonl").read_text().splitlines()

    def log(self, offset: int = 0) -> list[str]:
        """What the server wrote from ``offset`` on."""
        return self.workspace.log.read_bytes()[offset:].decode().splitlines()

    def log_size(self) -> int:
        """Where the server's log ends now, bytes."""
        return self.workspace.log.stat().st_size

    def generations(self) -> dict[str, dict]:
        """What the control socket lists, by id."""
        transport = httpx2.HTTPTransport(uds=str(self.workspace.control), verify=False)
        with httpx2.Client(transport=transport, base_url="http://control", timeout=10) as client:
            return {one["id"]: one for one in client.get("/generations").json()}

    def served_version(self) -> str:
        """What the admin listener says."""
        return httpx2.get(f"http://{HOST}:{self.workspace.admin_port}/health", timeout=10).json()["version"]

    def answers_of_the_next_calls(self, count: int) -> set[str]:
        """Who answers calls that clients send from now on."""
        now_s = time.monotonic()  # what asyncio's clock reads

        def answers() -> list[str]:
            return [who for sent_s, _, who in list(self.tally.answers) if sent_s > now_s]

        until(lambda: len(answers()) >= count)
        return set(answers())


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a command; one that does not end is killed."""
    try:
        out, err = process.communicate(timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"it did not end: {out}\n{err}") from None
    return Done(process.returncode, out, err)


def until(condition: Callable[[], object], timeout_s: float = COMMAND_TIMEOUT_S) -> None:
    """Wait until ``condition`` holds."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        pause.wait(0.02)


@contextmanager
def standing(base: Path, versions: Collection[str]) -> Iterator[Stand]:
    """notes 1.0.0 served by erlmcp, clients that call without pause, and a GO for each of ``versions``."""
    stand = Stand(_laid_out(base))
    ready, stop = threading.Event(), threading.Event()
    failure: list[BaseException] = []

    def live() -> None:
        try:
            asyncio.run(_live(stand, ready, stop))
        except BaseException as error:  # noqa: BLE001 - whatever broke the server or the client ends the test
            failure.append(error)
            ready.set()

    thread = threading.Thread(target=live)
    thread.start()
    try:
        for version in versions:
            checked = stand.run("check", version, "--only", CHECK)
            assert checked.code == 0, checked
        assert ready.wait(COMMAND_TIMEOUT_S)
        assert not failure, failure
        yield stand
    finally:
        if left := stand.holder()[0]:  # stopped by us, and by itself it would never go on
            os.kill(left, signal.SIGKILL)
        stop.set()
        thread.join(COMMAND_TIMEOUT_S)
    assert not failure, failure


async def _live(stand: Stand, ready: threading.Event, stop: threading.Event) -> None:
    """Modern callers search, which is what 1.2.0 breaks and answers with its name; sessions count words."""
    port, tally = stand.workspace.http_port, stand.tally
    async with serving(stand.workspace, BIN, version="1.0.0", workers=1):
        await Traffic(HOST, port, tally).prepare()
        search = tool("search_notes", judge_search, query="release", limit=5)
        count = tool("word_count", expect({"words": 3, "characters": 8, "lines": 1}), text="so it is")
        async with asyncio.TaskGroup() as group:
            for kind, number, call in ((Caller, SEARCHERS, search), (HandshakeCaller, COUNTERS, count)):
                for _ in range(number):
                    group.create_task(_calling(kind(HOST, port, tally), call, stand.busy, stop))
            ready.set()


async def _calling(caller: Caller, call: Call, busy: threading.Event, stop: threading.Event) -> None:
    await caller.begin()
    rounds = 0
    while not stop.is_set():
        await caller.ask(call)
        await asyncio.sleep(CALL_EVERY_S / (BUSY_TIMES if busy.is_set() else 1))
        rounds += 1
        if rounds % ROUNDS_OF_A_CONNECTION == 0:
            caller.leave()  # new connections are what a switch moves
    await caller.end()
    caller.leave()


def _laid_out(base: Path) -> Workspace:
    """The notes example in a repository of its own."""
    http, admin = _free_ports()
    workspace = Workspace(base, base / "service", http, admin)
    notes = ROOT / "examples" / "notes"
    workspace.database.parent.mkdir()
    shutil.copytree(
        notes / "src", workspace.service / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    shutil.copytree(notes / "releases", workspace.service / "releases")
    text = CONFIGURATION.format(http=http, admin=admin, control=workspace.control)
    (workspace.service / "gonogo.toml").write_text(text)
    (workspace.service / ".gitignore").write_text("__pycache__/\n.gonogo/\n")
    who = ("-c", "user.name=T", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run(["git", "-C", workspace.service, *who, *arguments], check=True, timeout=20)
    return workspace


def _free_ports() -> list[int]:
    held = [socket.socket() for _ in range(2)]
    try:
        for sock in held:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()
