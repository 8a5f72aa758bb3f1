"""Runs declared commands: argument lists without a shell, a bare environment, bounded output and time.

It does not know what a command is for; ``checks`` parse the files that a command leaves behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading

MAX_OUTPUT_BYTES = 256 * 1024
TIMEOUT_S = 600.0
KILL_AFTER_S = 2.0
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV")


class CommandError(GonogoError):
    """The command could not be started, or did not end in its time."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended.

    Attributes:
        output: the last bytes of standard output and standard error together.
        dropped_bytes: bytes of output before ``output`` that were not kept.
    """

    arguments: tuple[str, ...]
    exit_code: int
    output: bytes = field(repr=False)
    dropped_bytes: int
    elapsed_s: float

    def as_reading(self) -> Reading:
        """The command line, its end and its output as evidence."""
        head = f"$ {' '.join(self.arguments)}\nexit {self.exit_code} after {self.elapsed_s:.2f} s\n"
        if self.dropped_bytes:
            head += f"[{self.dropped_bytes} bytes before this are not kept]\n"
        return Reading("command " + self.arguments[0], "text/plain", head.encode() + self.output)


class CommandRunner:
    """Runs argument lists in one folder.

    Args:
        folder: working folder; also what ``{repo}`` stands for.
        max_output_bytes: of the output only so much, from its end, is kept.
    """

    def __init__(self, folder: Path, *, max_output_bytes: int = MAX_OUTPUT_BYTES) -> None:
        self._folder = folder
        self._max_output_bytes = max_output_bytes

    async def run(
        self,
        arguments: Sequence[str],
        *,
        placeholders: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> CommandResult:
        """Run to the end; on time-out or cancellation the whole process group is killed.

        Raises:
            CommandError: command.not-declared, command.not-started or command.timeout.
        """
        line = filled(
            arguments, {"repo": str(self._folder), "python": sys.executable, **(placeholders or {})}
        )
        if not line:
            raise CommandError("command.not-declared", "the command is empty; expected an argument list")
        begun = time.monotonic()
        process = await start(line, folder=self._folder, environment=bare_environment(environment or {}))
        tail = Tail(self._max_output_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                await tail.follow(process)
                exit_code = await process.wait()
        except TimeoutError as error:
            raise CommandError(
                "command.timeout",
                f"{line[0]} did not end within {timeout_s:g} s and was killed",
                note=tail.text()[-2000:] or None,
            ) from error
        finally:
            await end(process, kill_after_s=0.0)
        return CommandResult(line, exit_code, tail.kept(), tail.dropped_bytes, time.monotonic() - begun)


class Tail:
    """The last bytes of a process's output."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self.dropped_bytes = 0

    async def follow(self, process: asyncio.subprocess.Process) -> None:
        """Read the output until it ends."""
        assert process.stdout is not None
        while chunk := await process.stdout.read(65_536):
            self._data += chunk
            surplus = len(self._data) - self._max_bytes
            if surplus > 0:
                del self._data[:surplus]
                self.dropped_bytes += surplus

    def kept(self) -> bytes:
        """What is kept now."""
        return bytes(self._data)

    def text(self) -> str:
        """What is kept now, as text."""
        return self._data.decode("utf-8", errors="replace")


def filled(arguments: Sequence[str], placeholders: Mapping[str, str]) -> tuple[str, ...]:
    """Each ``{name}`` of ``placeholders`` replaced; other braces stay as they are."""
    line = []
    for argument in arguments:
        for name, value in placeholders.items():
            argument = argument.replace("{" + name + "}", value)  # noqa: PLW2901 - replaced step by step
        line.append(argument)
    return tuple(line)


def bare_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Only what programs need to be found and to speak a language, plus ``extra``."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, **extra}


async def start(
    line: Sequence[str], *, folder: Path, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start a process in its own group, standard error joined to standard output.

    Raises:
        CommandError: command.not-started.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *line,
            cwd=folder,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CommandError(
            "command.not-started", f"{line[0]} cannot be started: {error}", hint=f"install {line[0]}"
        ) from error


async def end(process: asyncio.subprocess.Process, *, kill_after_s: float = KILL_AFTER_S) -> None:
    """End a process and everything in its group: politely first if there is time, then by force."""
    if kill_after_s > 0 and process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), kill_after_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
