"""Ten good switches in a row under the demo's client: no failed call, no cut stream, no lost change."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from demo.client import Traffic, running
from demo.service import serving
from demo.subscription import Subscription
from demo.tally import Tally
from demo.waiting import until
from demo.workspace import HOST, ROOT, Workspace

pytestmark = pytest.mark.anyio
BIN = Path(sys.executable).parent
SWITCHES = 10
CALLS_BETWEEN = 40


class Control:
    """The control socket, as an operator's program would use it."""

    def __init__(self, path: Path) -> None:
        self._http = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(path)), base_url="http://control", timeout=30
        )

    async def put(self, path: str, body: dict) -> httpx2.Response:
        return await self._http.put(path, content=json.dumps(body))

    async def post(self, path: str) -> httpx2.Response:
        return await self._http.post(path)

    async def close(self) -> None:
        await self._http.aclose()


@pytest.fixture
def workspace(tmp_path_factory) -> Workspace:
    base = tmp_path_factory.mktemp("w")
    (base / "data").mkdir()
    (base / "service").mkdir()
    (base / "service" / "src").symlink_to(ROOT / "examples" / "notes" / "src")
    ports = []
    for _ in range(2):
        with socket.socket() as sock:
            sock.bind((HOST, 0))
            ports.append(sock.getsockname()[1])
    return Workspace(base, base / "service", *ports)


@asynccontextmanager
async def served(workspace: Workspace):
    """notes 1.0.0 on two workers, with 1.1.0 staged as ``new`` beside it."""
    async with serving(workspace, BIN, version="1.0.0", workers=2):
        control = Control(workspace.control)
        try:
            staged = await control.put(
                "/generations/new",
                {
                    "target": "notes.server:server",
                    "version": "1.1.0",
                    "cwd": str(workspace.service / "src"),
                    "env": {"NOTES_RELEASE": "1.1.0"},
                },
            )
            assert staged.status_code == 201, staged.text
            yield control
        finally:
            await control.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_ten_switches_fail_no_call_and_lose_no_change(workspace):
    """Slow because each of ten switches needs real traffic before and after it."""
    tally = Tally()
    async with served(workspace) as control:
        traffic = Traffic(HOST, workspace.http_port, tally, calls_per_s=80)
        subscription = Subscription(HOST, workspace.http_port, tally, change_every_s=0.05)
        seeds = await traffic.prepare()
        await subscription.start()
        async with running(traffic, seeds):
            for number in range(SWITCHES):
                wanted = tally.calls + CALLS_BETWEEN
                await until(lambda wanted=wanted: tally.calls >= wanted, timeout_s=20)
                answer = await control.post(f"/generations/{'g1' if number % 2 else 'new'}/activate")
                assert answer.status_code == 200, answer.text
                ended = number + 1
                await until(lambda ended=ended: tally.streams_ended >= ended, timeout_s=20)
            wanted = tally.calls + CALLS_BETWEEN
            await until(lambda: tally.calls >= wanted, timeout_s=20)
        await subscription.stop()
    assert tally.failures == []
    assert tally.streams_cut == []
    assert tally.changes_lost == []
    # A client that comes back while the old generation still drains is ended once more, in good order.
    assert SWITCHES <= tally.streams_ended <= 2 * SWITCHES
    assert tally.changes_made > SWITCHES
    assert min(tally.by_release["1.0.0"], tally.by_release["1.1.0"]) > CALLS_BETWEEN


async def test_a_worker_that_is_killed_is_seen_by_the_client(workspace):
    """Negative control of the above: without a switch that hands over, the client does notice."""
    tally = Tally()
    async with served(workspace):
        traffic = Traffic(HOST, workspace.http_port, tally, calls_per_s=200)
        subscription = Subscription(HOST, workspace.http_port, tally, change_every_s=0.05)
        seeds = await traffic.prepare()
        await subscription.start()
        async with running(traffic, seeds):
            generations = httpx2.get(f"http://{HOST}:{workspace.admin_port}/generations").json()
            workers = next(g["workers"] for g in generations if g["id"] == "g1")
            for pid in workers:
                os.kill(pid, 9)
            await until(lambda: tally.streams_cut and tally.failures, timeout_s=20)
        await subscription.stop()
    assert tally.streams_cut[0].startswith("cut")
