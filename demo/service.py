"""Starts ``erlmcp serve``, stops it by its process id, and looks at it from outside.

The observer reads ``/generations`` many times a second, so that who served when is known from the world and
not from the words of the program that made it so.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.program import end
from demo.wire import Connection, WireError
from demo.workspace import HOST, Workspace

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.02
_TAIL_BYTES = 4_000


class ServiceError(Exception):
    """The service does not run; the sentence holds the end of its log."""


@asynccontextmanager
async def serving(
    workspace: Workspace, bin_folder: Path, *, version: str, workers: int
) -> AsyncIterator[int]:
    """The service for as long as the block runs; gives its process id.

    Raises:
        ServiceError: it was not ready within 30 seconds.
    """
    arguments = [
        str(bin_folder / "erlmcp"), "serve", "notes.server:server",
        "--http", f"{HOST}:{workspace.http_port}", "--admin", f"{HOST}:{workspace.admin_port}",
        "--control", str(workspace.control), "--workers", str(workers), "--version-label", version,
    ]  # fmt: skip
    environment = {
        "PATH": f"{bin_folder}:/usr/bin:/bin",
        "HOME": str(workspace.base),
        "NOTES_DATABASE": str(workspace.database),
        "NOTES_RELEASE": version,
    }
    with workspace.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=workspace.service / "src",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        await _until_ready(workspace, process)
        yield process.pid
    finally:
        await end(process, politely=signal.SIGTERM, timeout_s=_STOP_TIMEOUT_S)


async def _until_ready(workspace: Workspace, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while process.returncode is None:
                if await _status(workspace.admin_port, "/ready") == 200:
                    return
                await asyncio.sleep(0.05)
            reason = f"it ended with exit code {process.returncode}"
    except TimeoutError:
        reason = f"it was not ready within {_START_TIMEOUT_S:g} s"
    tail = workspace.log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    raise ServiceError(f"the service does not run: {reason}; its log ends:\n{tail}")


async def _status(port: int, path: str) -> int:
    try:
        connection = await Connection.open(HOST, port)
    except WireError:
        return 0
    try:
        return (await connection.send("GET", path, {})).status
    except WireError:
        return 0
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Tenure:
    """A span in which one release was seen to be the active one.

    The true span is larger than what was seen by at most one look on either side; ``not_before_s`` and
    ``not_after_s`` are the looks next to it.
    """

    release: str
    generation: str
    not_before_s: float
    first_seen_s: float
    last_seen_s: float
    not_after_s: float


@dataclass(slots=True)
class Observer:
    """Who was active when, as the admin listener tells it."""

    port: int
    tenures: list[Tenure] = field(default_factory=list)
    blind_looks: int = 0
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def look(self) -> None:
        """Look until told to stop."""
        connection: Connection | None = None
        last_look_s = _now_s()
        while not self._stop.is_set():
            try:
                if connection is None or not connection.usable:
                    connection = await Connection.open(HOST, self.port)
                head = await connection.send("GET", "/generations", {})
                generations = json.loads(await connection.body(head))
            except (WireError, ValueError):
                self.blind_looks += 1
                connection = None
            else:
                last_look_s = self._note(generations, last_look_s)
            await asyncio.sleep(_LOOK_EVERY_S)
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """End after the next look."""
        self._stop.set()

    def _note(self, generations: list[dict[str, object]], last_look_s: float) -> float:
        now_s = _now_s()
        active = [g for g in generations if g.get("state") == "active"]
        if len(active) != 1:
            return last_look_s
        release, generation = str(active[0]["version"]), str(active[0]["id"])
        known = self.tenures[-1] if self.tenures else None
        if known is not None and known.generation == generation:
            self.tenures[-1] = Tenure(
                release, generation, known.not_before_s, known.first_seen_s, now_s, now_s
            )
            return now_s
        if known is not None:
            self.tenures[-1] = Tenure(
                known.release,
                known.generation,
                known.not_before_s,
                known.first_seen_s,
                known.last_seen_s,
                now_s,
            )
        self.tenures.append(Tenure(release, generation, last_look_s, now_s, now_s, now_s))
        return now_s


def _now_s() -> float:
    return asyncio.get_running_loop().time()
