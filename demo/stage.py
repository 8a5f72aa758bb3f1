"""What stands on the stage while the story is told: the service, the client, the observer, and their end.

Everything that is started here is stopped when the block is left, however it is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from demo.client import Traffic, running
from demo.program import Programs, end_strays
from demo.screen import Screen
from demo.service import Observer, serving
from demo.subscription import Subscription
from demo.tally import Tally
from demo.waiting import until
from demo.workspace import HOST, ROOT, Workspace, begin_history, prepare

WORKERS = 2
CALLS_PER_S = 60.0
CALLS_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Stage:
    """The parts that the story speaks with."""

    screen: Screen
    workspace: Workspace
    programs: Programs
    tally: Tally
    observer: Observer
    began_s: float
    clock_offset_s: float = field(default=0.0)  # the event loop's clock minus the clock on the wall

    def now_s(self) -> float:
        """The event loop's clock."""
        return asyncio.get_running_loop().time()

    def at_s(self, at: datetime) -> float:
        """A time of day on the event loop's clock."""
        return at.timestamp() + self.clock_offset_s

    async def until_calls(self, more: int) -> None:
        """Wait until the client has made so many more calls."""
        wanted = self.tally.calls + more
        await until(lambda: self.tally.calls >= wanted, timeout_s=CALLS_TIMEOUT_S)


@asynccontextmanager
async def set_up(screen: Screen, base: Path, bin_folder: Path, version: str) -> AsyncIterator[Stage]:
    """Prepare the workspace, start the service and the client, and end all of it afterwards.

    Raises:
        WorkspaceError, ServiceError: it cannot be prepared or started here.
    """
    end_strays(base)
    workspace = prepare(base, bin_folder, version)
    programs = Programs(workspace.service, screen, environment=workspace.environment, bin_folder=bin_folder)
    await begin_history(programs, version)
    loop = asyncio.get_running_loop()
    tally, observer = Tally(), Observer(workspace.admin_port)
    stage = Stage(screen, workspace, programs, tally, observer, loop.time(), loop.time() - time.time())
    try:
        async with serving(workspace, bin_folder, version=version, workers=WORKERS) as pid:
            screen.say(
                f"erlmcp serves {version} at http://{HOST}:{workspace.http_port}/mcp"
                f" (pid {pid}, {WORKERS} workers)"
            )
            async with _looking(observer), _calling(workspace, tally):
                yield stage
    finally:
        end_strays(base)


@asynccontextmanager
async def _looking(observer: Observer) -> AsyncIterator[None]:
    task = asyncio.create_task(observer.look())
    try:
        yield
    finally:
        observer.stop()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _calling(workspace: Workspace, tally: Tally) -> AsyncIterator[None]:
    traffic = Traffic(HOST, workspace.http_port, tally, calls_per_s=CALLS_PER_S)
    subscription = Subscription(HOST, workspace.http_port, tally)
    seeds = await traffic.prepare()
    await subscription.start()
    try:
        async with running(traffic, seeds):
            yield
    finally:
        await subscription.stop()


def shown_path(path: Path) -> str:
    """A path as seen from the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
