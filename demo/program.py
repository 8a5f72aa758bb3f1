"""Runs programs as a person would: shows the command, shows what it says, remembers how it ended.

No shell, a small environment, and nothing that a program started stays behind when the demo is interrupted.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.screen import Screen

_KEPT = ("PATH", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ")
_END_TIMEOUT_S = 5.0
_LINE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended; ``began_s`` and ``ended_s`` are on the event loop's clock."""

    arguments: tuple[str, ...]
    exit_code: int
    output: str
    began_s: float
    ended_s: float


class Programs:
    """Runs programs in one folder.

    Args:
        aliases: what to show for a long path, such as ``.venv/bin/gonogo`` for the program's full path.
    """

    def __init__(
        self, folder: Path, screen: Screen, *, environment: Mapping[str, str], bin_folder: Path
    ) -> None:
        self._folder = folder
        self._screen = screen
        self._bin_folder = bin_folder
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{bin_folder}{os.pathsep}{kept.get('PATH', '/usr/bin:/bin')}"
        self._environment = {**kept, **environment, "PATH": path}

    async def show(self, *arguments: str) -> Ran:
        """Run a program, showing the command and everything it says."""
        self._screen.command(arguments)
        return await self._run(arguments, shown=True)

    async def ask(self, *arguments: str) -> Ran:
        """Run a program for its output alone; standard error is not part of it."""
        return await self._run(arguments, shown=False)

    async def must(self, *arguments: str, shown: bool = True) -> Ran:
        """Run a program that has to succeed.

        Raises:
            RuntimeError: it did not.
        """
        ran = await (self.show(*arguments) if shown else self.ask(*arguments))
        if ran.exit_code != 0:
            raise RuntimeError(
                f"{' '.join(arguments)} ended with exit code {ran.exit_code}: {ran.output[-500:]}"
            )
        return ran

    async def _run(self, arguments: Sequence[str], *, shown: bool) -> Ran:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if shown else asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES_MAX,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            lines: list[str] = []
            async for raw in process.stdout:
                lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                if shown:
                    self._screen.output(lines[-1])
            code = await process.wait()
        finally:
            await end(process)
        return Ran(tuple(arguments), code, "\n".join(lines), began_s, loop.time())


async def end(
    process: asyncio.subprocess.Process,
    *,
    politely: signal.Signals = signal.SIGINT,
    timeout_s: float = _END_TIMEOUT_S,
) -> None:
    """End a process that leads its own group: politely, then by force."""
    if process.returncode is None:
        process.send_signal(politely)
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def end_strays(home: Path) -> list[int]:
    """Kill what still runs with ``home`` as its home folder; gives the process ids.

    Everything that the demo starts, and whatever that starts, has the workspace as its home, and nothing else
    has. So this ends a deployment that detached itself and what an earlier, killed demo left behind.
    """
    mark = f"HOME={home}".encode()
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(int(process.name))
        except (OSError, ValueError):  # ended meanwhile, or belongs to somebody else
            continue
    return killed
