"""A scratch copy of the service: the previous version serving, the candidate staged beside it.

Exercises run here, so that production is never disturbed. It is started from the declared command on
free loopback ports in a temporary folder, and always ended by its process id. Whether the service behaves
is the business of ``checks``.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gonogo.adapters.command import Tail, bare_environment, end, filled, start
from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.adapters.http import HttpError, HttpReader
from gonogo.config.schema import Guest, Manifest
from gonogo.model.errors import GonogoError

START_TIMEOUT_S = 20.0
STAGE_TIMEOUT_S = 30.0
END_TIMEOUT_S = 3.0
LOG_TAIL_BYTES = 32 * 1024
CANDIDATE = "candidate"


class ScratchError(GonogoError):
    """The scratch copy does not run."""


@dataclass(frozen=True, slots=True)
class ScratchPlan:
    """What to start.

    Attributes:
        command: declared argument list with {target}, {http}, {admin}, {control}, {version},
            {scratch}, {repo} and {python}.
        environment: declared variables, where {scratch} is the temporary folder; they win over the
            manifest's, so that a scratch copy never opens production's data.
        serving: the version that serves first.
        candidate: the version that is staged beside it.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    repo: Path
    serving: Manifest
    candidate: Manifest
    mcp_path: str


@dataclass(frozen=True, slots=True)
class Scratch:
    """A running scratch copy.

    Attributes:
        base_url: the public listener; ``serving`` answers here until something is activated.
        candidate_url: the candidate's own private listener.
        serving_generation: id of the generation that served first.
        admin_url: the admin listener.
    """

    base_url: str
    candidate_url: str
    admin_url: str
    serving_generation: str
    pid: int
    control: ErlmcpControl
    mcp_path: str

    @property
    def mcp_url(self) -> str:
        """The endpoint that clients use."""
        return self.base_url + self.mcp_path

    @property
    def candidate_mcp_url(self) -> str:
        """The candidate's endpoint on its private listener."""
        return self.candidate_url + self.mcp_path


class ScratchProvider:
    """Starts the scratch copy when it is first needed and shares it; close it when done."""

    def __init__(self, plan: ScratchPlan) -> None:
        self._plan = plan
        self._lock = asyncio.Lock()
        self._running: Scratch | None = None
        self._fault: GonogoError | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._tail = Tail(LOG_TAIL_BYTES)
        self._folder: Path | None = None

    @property
    def declared(self) -> bool:
        """Whether there is a command to start it."""
        return bool(self._plan.command)

    async def get(self) -> Scratch:
        """The running copy; a start that failed once fails the same way again, at once.

        Raises:
            ScratchError: scratch.not-declared, scratch.not-started, scratch.not-staged.
            CommandError: command.not-started.
        """
        async with self._lock:
            if self._fault is not None:
                raise self._fault
            if self._running is None:
                try:
                    self._running = await self._start()
                except GonogoError as error:
                    self._fault = error
                    raise
            return self._running

    def log_tail(self) -> str:
        """The last of what the copy wrote."""
        return self._tail.text()

    async def close(self) -> None:
        """End the copy and remove its folder."""
        if self._running is not None:
            await self._running.control.close()
        if self._process is not None:
            await end(self._process, kill_after_s=END_TIMEOUT_S)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _start(self) -> Scratch:
        plan = self._plan
        if not plan.command:
            raise ScratchError(
                "scratch.not-declared",
                "no command starts a scratch copy",
                hint="declare commands.scratch in gonogo.toml",
            )
        self._folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="gonogo-scratch-"))
        http, admin = _free_addresses(2)
        socket_path = self._folder / "control.sock"
        line = filled(
            plan.command,
            {
                "target": plan.serving.guest.target,
                "version": plan.serving.version,
                "http": http,
                "admin": admin,
                "control": str(socket_path),
                "scratch": str(self._folder),
                "repo": str(plan.repo),
                "python": sys.executable,
            },
        )
        self._process = await start(
            (_program(line[0], plan.repo), *line[1:]),
            folder=plan.repo / plan.serving.guest.cwd,
            environment=bare_environment(self._environment(plan.serving.guest)),
        )
        self._reading = asyncio.create_task(self._tail.follow(self._process))
        await self._until_ready(f"http://{admin}/ready")
        control = ErlmcpControl(str(socket_path), act_timeout_s=STAGE_TIMEOUT_S)
        try:
            serving = await self._serving_generation(control)
            candidate_url = await self._stage(control)
        except BaseException:
            await control.close()
            raise
        return Scratch(
            base_url=f"http://{http}",
            candidate_url=candidate_url,
            admin_url=f"http://{admin}",
            serving_generation=serving,
            pid=self._process.pid,
            control=control,
            mcp_path=plan.mcp_path,
        )

    def _environment(self, guest: Guest) -> dict[str, str]:
        declared = {
            name: value.replace("{scratch}", str(self._folder))
            for name, value in self._plan.environment.items()
        }
        return {**guest.env, **declared}

    async def _until_ready(self, url: str) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        async with HttpReader(timeout_s=1.0) as http:
            while time.monotonic() < deadline:
                if self._process.returncode is not None:
                    raise self._not_started(f"it ended with exit code {self._process.returncode}")
                with contextlib.suppress(HttpError):
                    if (await http.get(url)).status == 200:
                        return
                await asyncio.sleep(0.05)
        raise self._not_started(f"it was not ready within {START_TIMEOUT_S:g} s")

    def _not_started(self, what: str) -> ScratchError:
        return ScratchError(
            "scratch.not-started",
            f"the scratch copy did not start: {what}",
            hint="run the command commands.scratch by hand",
            note=self._tail.text()[-2000:] or "it wrote nothing",
        )

    async def _serving_generation(self, control: ErlmcpControl) -> str:
        active = [str(g["id"]) for g in await control.generations() if g.get("state") == "active"]
        if len(active) != 1:
            raise ScratchError(
                "scratch.not-staged", f"{len(active)} generations are active; expected exactly one"
            )
        return active[0]

    async def _stage(self, control: ErlmcpControl) -> str:
        guest = self._plan.candidate.guest
        spec = {
            "target": guest.target,
            "version": self._plan.candidate.version,
            "python": guest.python,
            "cwd": str((self._plan.repo / guest.cwd).resolve()),
            "env": self._environment(guest),
            "config": dict(guest.config),
            "workers": None,
        }
        await control.stage(CANDIDATE, spec)
        staged = [g for g in await control.generations() if g.get("id") == CANDIDATE]
        url = staged[0].get("private_url") if staged else None
        if not isinstance(url, str) or not url:
            raise ScratchError("scratch.not-staged", "the staged candidate has no private_url")
        return url.rstrip("/")


def _program(name: str, repo: Path) -> str:
    """A program given by a relative path is found from the repository, as everywhere in gonogo.toml."""
    return str(repo / name) if "/" in name else name


def _free_addresses(count: int) -> list[str]:
    """Loopback addresses that nobody listens on now; all are held at once so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{sock.getsockname()[1]}" for sock in held]
    finally:
        for sock in held:
            sock.close()
