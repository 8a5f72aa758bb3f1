"""Deployments to a real erlmcp that serves the notes example under load: the whole way, for real.

The load never retries and counts every call that was not answered well, so "no failed call" is a count.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from model_world import gate_of, release_of

from gonogo.adapters.announce import FileChannel
from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.adapters.erlmcp_metrics import ErlmcpMetrics
from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.adapters.mcp_calls import McpCalls
from gonogo.config.schema import Environment, Guest, Manifest, Thresholds
from gonogo.deploy.deployment import deploy
from gonogo.deploy.platforms.erlmcp import ErlmcpPlatform
from gonogo.deploy.rollback import roll_back
from gonogo.deploy.services import DeployServices
from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError

START_TIMEOUT_S = 30
LIMITS = Thresholds(
    watch_s=6,
    step_s=0.5,
    sustained_s=3,
    baseline_s=3,
    unhealthy_s=3,
    latency_ratio=10,
    memory_ratio=3,
)


def clock() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass
class Service:
    """A running erlmcp."""

    folder: Path
    http: int
    admin: int
    process: subprocess.Popen

    def services(self, journal: Journal, version: str) -> DeployServices:
        reads = HttpReader()
        admin = AdminReader(f"http://127.0.0.1:{self.admin}", reads)
        control = ErlmcpControl(str(self.folder / "control.sock"))
        return DeployServices(
            service="notes",
            environment_name="production",
            environment=Environment(
                base_url=f"http://127.0.0.1:{self.http}",
                admin_url=f"http://127.0.0.1:{self.admin}",
                control=str(self.folder / "control.sock"),
                drain_timeout_s=3,
                thresholds=LIMITS,
            ),
            state=self.folder / "state",
            journal=journal,
            platform=ErlmcpPlatform(control, admin, self.folder),
            calls=McpCalls(reads),
            reader=ErlmcpMetrics(admin, clock),
            channel=FileChannel(self.folder / "announcements.jsonl"),
            gate=lambda: gate_of(release_of(version)),
            clock=clock,
            sleep=asyncio.sleep,
            closing=(reads.close, control.close),
        )


@dataclass
class Load:
    """Calls without pause from a thread of its own; what each was answered, by version."""

    endpoint: str
    failed: Counter = field(default_factory=Counter)
    answered: Counter = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(20)

    async def _run(self) -> None:
        async with HttpReader() as http:
            client = McpClient(self.endpoint, http, Era.MODERN)
            number = 0
            while not self._stop.is_set():
                number += 1
                try:
                    answer = await client.call_tool("search_notes", {"query": "milk", "limit": 1})
                    info = answer.result["_meta"]["io.modelcontextprotocol/serverInfo"]
                    self.answered[info["version"]] += 1
                except GonogoError as error:
                    self.failed[str(error)] += 1
                await asyncio.sleep(0.005)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def call(coroutine_of):
    """Run ``coroutine_of(http)`` with a reader of its own."""

    async def run():
        async with HttpReader() as http:
            return await coroutine_of(http)

    return asyncio.run(run())


@pytest.fixture
def service(tmp_path):
    erlmcp = Path(sys.executable).parent / "erlmcp"
    http, admin = free_port(), free_port()
    arguments = [
        str(erlmcp), "serve", "notes.server:server", "--http", f"127.0.0.1:{http}",
        "--admin", f"127.0.0.1:{admin}", "--control", str(tmp_path / "control.sock"),
        "--version-label", "1.0.0",
    ]  # fmt: skip
    environment = os.environ | {"NOTES_RELEASE": "1.0.0", "NOTES_DATABASE": str(tmp_path / "notes.db")}
    with (tmp_path / "erlmcp.log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    service = Service(tmp_path, http, admin, process)
    try:
        call(lambda reader: wait_until_serving(reader, service))
        call(lambda reader: fill(reader, service))
        yield service
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait(5)


async def wait_until_serving(reader: HttpReader, service: Service) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                if (await reader.get(f"http://127.0.0.1:{service.admin}/ready")).status == 200:
                    return
            except GonogoError:
                assert service.process.poll() is None, (service.folder / "erlmcp.log").read_text()
            await asyncio.sleep(0.1)


async def fill(reader: HttpReader, service: Service) -> None:
    client = McpClient(f"http://127.0.0.1:{service.http}/mcp", reader, Era.MODERN)
    for number in range(5):
        await client.call_tool("create_note", {"title": f"milk {number}", "body": "buy milk"})


def manifest(service: Service, version: str) -> Manifest:
    env = {"NOTES_RELEASE": version, "NOTES_DATABASE": str(service.folder / "notes.db")}
    return Manifest(version=version, guest=Guest(target="notes.server:server", env=env))


def ship(service: Service, version: str):
    with Journal.open(service.folder / "state", clock=clock, service="notes") as journal:
        events = []
        result = deploy(
            service.services(journal, version),
            release_of(version),
            manifest(service, version),
            actor="ada",
            resume=False,
            progress=events.append,
        )
        return result, list(journal.entries()), events


def test_a_good_release_goes_out_and_a_bad_one_comes_back_under_load(service):
    with Load(f"http://127.0.0.1:{service.http}/mcp") as load:
        good, entries, _ = ship(service, "1.1.0")
        assert good.ending == "done", (good, entries[-8:])
        assert not load.failed
        assert {"1.0.0", "1.1.0"} <= set(load.answered)

        bad, entries, events = ship(service, "1.2.0")
        assert bad.ending == "rolled-back", (bad, [event.text for event in events])
        assert bad.rollback_s < 1
        assert "error-ratio" in bad.reason
        failed = load.failed.total()
        back = load.answered["1.1.0"]
        time_is_up = time.monotonic() + 5
        while load.answered["1.1.0"] < back + 20 and time.monotonic() < time_is_up:
            threading.Event().wait(0.05)
        assert load.failed.total() == failed, "a call failed after the old version was said to serve"
    assert all("-32603" in text for text in load.failed), load.failed
    states = call(lambda reader: states_of(reader, service))
    assert states[bad.serving] == "active"
    finished = [e for e in entries if e.kind is EntryKind.ROLLBACK_FINISHED]
    assert finished[-1].body["observed"]["version"] == "1.1.0"


def test_a_release_that_is_done_can_be_rolled_back_by_hand(service):
    with Load(f"http://127.0.0.1:{service.http}/mcp"):
        good, _, _ = ship(service, "1.1.0")
    assert good.ending == "done", good
    with Journal.open(service.folder / "state", clock=clock, service="notes") as journal:
        result = roll_back(
            service.services(journal, "1.1.0"),
            "production",
            reason="customers complain",
            actor="ada",
            progress=lambda _: None,
        )
    assert (result.ending, result.serving) == ("rolled-back", "g1")
    assert result.rollback_s < 1
    assert call(lambda reader: states_of(reader, service))["g1"] == "active"


def test_a_version_that_does_not_start_changes_nothing_and_shows_its_log(service):
    broken = Manifest(version="9.9.9", guest=Guest(target="notes.server:missing"))
    with Journal.open(service.folder / "state", clock=clock, service="notes") as journal:
        result = deploy(
            service.services(journal, "9.9.9"),
            release_of("9.9.9"),
            broken,
            actor="ada",
            resume=False,
            progress=lambda _: None,
        )
    assert result.ending == "aborted"
    assert result.error["id"] == "control.refused"
    assert "missing" in (result.error["message"] + (result.error["note"] or ""))
    assert call(lambda reader: states_of(reader, service))["g1"] == "active"


async def states_of(reader: HttpReader, service: Service) -> dict[str, str]:
    answer = await reader.get(f"http://127.0.0.1:{service.admin}/generations")
    return {generation["id"]: generation["state"] for generation in answer.json()}
