"""The master's side of one worker process: spawn it, talk to it, hear its last words, see it end.

It knows nothing of generations: who replaces a dead worker is ``erlmcp.supervisor.generation``. The other
side is ``erlmcp.supervisor.worker``, which is run by name in the generation's interpreter and never
imported here, because it loads the guest.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from erlmcp.config.keys import ENVIRONMENT_NAMES
from erlmcp.config.schema import Settings
from erlmcp.edge.tls import Identity
from erlmcp.supervisor.channel import Channel
from erlmcp.supervisor.giving_way import run_as_usual
from erlmcp.supervisor.messages import (
    WHERE_SIGNAL,
    Act,
    Command,
    Done,
    Keys,
    Message,
    Ready,
    Relay,
    Report,
    Start,
    StartFailed,
)
from erlmcp.supervisor.service_manager import VARIABLES
from erlmcp.telemetry.logs import Log

MAX_LINE_BYTES = 65_536
LOG_PIPE_BYTES = 1024 * 1024
"""What a worker may log before the master gets a turn; the usual 64 KiB are 2 ms of a busy one."""
LAST_WORDS_TIMEOUT_S = 0.5
"""How long to wait for output that is still in the pipes of a process that has ended."""

_NOT_FOR_GUESTS = ENVIRONMENT_NAMES.keys() | {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} | VARIABLES

log = Log(__name__)


class WorkerGoneError(Exception):
    """The worker ended before it answered."""


class CommandFailedError(Exception):
    """The worker answered that it could not do it, or did not answer in time."""


@dataclass(frozen=True)
class Launch:
    """How to start the process.

    Attributes:
        python: the interpreter.
        cwd: working directory; empty for the master's.
        env: the whole environment of the process.
        start: the first message; its listeners name descriptors of this process.
        inherited: those descriptors.
    """

    python: str
    cwd: str
    env: Mapping[str, str]
    start: Start
    inherited: Sequence[int]


@dataclass(frozen=True)
class Ears:
    """Who listens to a worker."""

    on_log: Callable[[list[str]], None]
    """Lines of its log, already JSON."""
    on_output: Callable[[list[str]], None]
    """Lines that the guest printed."""
    on_relay: Callable[[WorkerProcess, Relay], None]


@dataclass(eq=False)
class WorkerProcess:
    """One running worker. Make it with `spawn`.

    Attributes:
        ready: resolves when the guest has started, or raises StartFailedError or WorkerGoneError.
        ended: resolves with the exit status after everything it said was heard.
        report: what it counted last, if it has reported.
        reports: how often it has.
        silent_s: how long it has not, seconds; kept by whoever minds it.
        stuck: it was ended because nothing in it could run.
        worn: set when it has lost so many threads that another worker should take its place.
    """

    pid: int
    name: str
    channel: Channel
    _process: subprocess.Popen[bytes]
    _pidfd: int
    ready: asyncio.Future[Ready]
    ended: asyncio.Future[int]
    report: Report | None = None
    reports: int = 0
    silent_s: float = 0.0
    stuck: bool = False
    worn: asyncio.Event = field(default_factory=asyncio.Event)
    _pending: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    _number: int = 0

    async def command(
        self,
        act: Act,
        *,
        timeout_s: float,
        argument: str = "",
        deadline_s: float = 0.0,
        identity: Identity | None = None,
    ) -> None:
        """Order something and wait until it is done.

        Raises:
            WorkerGoneError: the worker ended first.
            CommandFailedError: it could not, or did not answer within the time.
        """
        await self._confirmed(
            lambda number: Command(number, act, argument, deadline_s, identity),
            what=act,
            timeout_s=timeout_s,
        )

    async def take_keys(self, keys: Sequence[bytes], *, timeout_s: float) -> None:
        """Let it seal and open with these keys from now on, and wait until it does.

        Raises:
            WorkerGoneError, CommandFailedError: as ``command``.
        """
        await self._confirmed(lambda number: Keys(number, list(keys)), what="keys", timeout_s=timeout_s)

    async def _confirmed(self, order: Callable[[int], Message], *, what: str, timeout_s: float) -> None:
        if self.ended.done() or self.channel.lost:
            raise WorkerGoneError(f"worker {self.pid} has ended")
        self._number += 1
        number = self._number
        answer = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        self.channel.send(order(number))
        try:
            async with asyncio.timeout(timeout_s):
                await answer
        except TimeoutError:
            raise CommandFailedError(
                f"worker {self.pid} did not confirm {what} within {timeout_s:g} s"
            ) from None
        finally:
            self._pending.pop(number, None)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def ask_where(self) -> None:
        """Let it write where each of its threads is; a process that is stopped cannot."""
        self._signal(WHERE_SIGNAL)

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended.done() and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def hear(self, message: Message) -> None:
        """What the worker says, but for relayed events."""
        match message:
            case Done(number=number, fault=fault):
                self._settle(number, fault)
            case Report():
                self.report = message
                self.reports += 1
                if message.is_worn:
                    self.worn.set()
            case Ready() if not self.ready.done():
                self.ready.set_result(message)
            case StartFailed() if not self.ready.done():
                self.ready.set_exception(StartFailedError(message))
            case _:
                log.warning("worker.unexpected-message", worker=self.pid, message=type(message).__name__)

    def _settle(self, number: int, fault: str) -> None:
        answer = self._pending.pop(number, None)
        if answer is None or answer.done():
            return
        if fault:
            answer.set_exception(CommandFailedError(f"worker {self.pid}: {fault}"))
        else:
            answer.set_result(None)

    def forsake(self) -> None:
        """The channel is lost: nobody will answer any more."""
        gone = WorkerGoneError(f"worker {self.pid} has ended")
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(gone)
        self._pending.clear()
        if not self.ready.done():
            self.ready.set_exception(gone)
        with contextlib.suppress(asyncio.InvalidStateError):
            self.ready.exception()  # marks it as seen: a worker may die when nobody waits for it

    async def watch(self, lost: asyncio.Event, pipes: Sequence[Lines]) -> None:
        """Wait for the process to end and hear it out; resolves `ended`."""
        loop = asyncio.get_running_loop()
        exited = asyncio.Event()
        loop.add_reader(self._pidfd, exited.set)
        await exited.wait()
        loop.remove_reader(self._pidfd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # programs that the guest started and left behind
        status = self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                await lost.wait()
                for pipe in pipes:
                    await pipe.ended.wait()
        for pipe in pipes:
            pipe.close()
        self.channel.close()
        self.forsake()
        os.close(self._pidfd)
        self.ended.set_result(status)


class StartFailedError(Exception):
    """The guest of a worker did not start."""

    def __init__(self, cause: StartFailed) -> None:
        super().__init__(cause.message)
        self.cause = cause


async def spawn(launch: Launch, ears: Ears) -> WorkerProcess:
    """Start a worker and send it its first message.

    Raises:
        OSError: the interpreter or the working directory cannot be used.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    log_read, log_write = os.pipe()
    with contextlib.suppress(OSError):  # too many large pipes of this user
        fcntl.fcntl(log_write, fcntl.F_SETPIPE_SZ, LOG_PIPE_BYTES)
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - exec of a small program; it does not wait for it
            [
                launch.python,
                "-m",
                "erlmcp.supervisor.worker",
                f"--channel={theirs.fileno()}",
                f"--log={log_write}",
            ],
            cwd=launch.cwd or None,
            env=dict(launch.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs.fileno(), log_write, *launch.inherited),
            process_group=0,
        )
    except OSError:
        ours.close()
        os.close(log_read)
        raise
    finally:
        theirs.close()
        os.close(log_write)
    run_as_usual(process.pid)
    return await _attend(loop, process, ours, log_read, launch, ears)


async def _attend(
    loop: asyncio.AbstractEventLoop,
    process: subprocess.Popen[bytes],
    ours: socket.socket,
    log_read: int,
    launch: Launch,
    ears: Ears,
) -> WorkerProcess:
    assert process.stdout is not None
    lost = asyncio.Event()
    worker: WorkerProcess

    def hear(message: Message) -> None:
        if isinstance(message, Relay):
            ears.on_relay(worker, message)
        else:
            worker.hear(message)

    def lose() -> None:
        worker.forsake()
        lost.set()

    ours.setblocking(False)
    channel = Channel(hear, lose)
    worker = WorkerProcess(
        process.pid,
        launch.start.worker,
        channel,
        process,
        os.pidfd_open(process.pid),
        loop.create_future(),
        loop.create_future(),
    )
    output = Lines(ears.on_output)
    log_lines = Lines(ears.on_log)
    await loop.connect_read_pipe(lambda: output, process.stdout)
    await loop.connect_read_pipe(lambda: log_lines, os.fdopen(log_read, "rb", buffering=0))
    await loop.create_unix_connection(lambda: channel, sock=ours)
    channel.send(launch.start)
    task = loop.create_task(worker.watch(lost, (output, log_lines)))
    _attending.add(task)
    task.add_done_callback(_attending.discard)
    return worker


_attending: set[asyncio.Task[None]] = set()
"""Keeps the tasks alive that wait for an end; the loop itself holds only weak references."""


def guest_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The master's variables without its secrets and what its service manager gave it, and what is added."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_GUESTS}
    return {**kept, "PYTHONUNBUFFERED": "1", **added}


def settings_for_worker(settings: Settings) -> dict[str, Any]:
    """The settings as a worker takes them, which may have a working directory of its own."""
    dumped = settings.model_dump(mode="json")
    if settings.log.file:
        dumped["log"]["file"] = str(Path(settings.log.file).absolute())
    return dumped


class Lines(asyncio.Protocol):
    """Cuts what comes out of a pipe into lines; a line that is too long is cut too.

    ``on_lines`` takes all that came at once: under load they are hundreds, and are passed on with one write.
    """

    def __init__(self, on_lines: Callable[[list[str]], None]) -> None:
        self._on_lines = on_lines
        self._buffer = bytearray()
        self._transport: asyncio.BaseTransport | None = None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The pipe is read from now on."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some bytes of output."""
        whole, end, rest = data.rpartition(b"\n")
        texts = self._texts(bytes(self._buffer) + whole) if end else []
        if end:
            self._buffer.clear()
        self._buffer += rest
        while len(self._buffer) >= MAX_LINE_BYTES:
            texts += self._texts(self._buffer[:MAX_LINE_BYTES])
            del self._buffer[:MAX_LINE_BYTES]
        if texts:
            self._on_lines(texts)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """The writers are gone; an unfinished line counts."""
        if texts := self._texts(self._buffer):
            self._on_lines(texts)
        self._buffer.clear()
        self.ended.set()

    def close(self) -> None:
        """Stop reading, though somebody may still hold the other end."""
        if self._transport is not None:
            cast("asyncio.ReadTransport", self._transport).close()

    def _texts(self, lines: bytes | bytearray) -> list[str]:
        """Decoded together: one by one it would take several times as long."""
        return [text for line in lines.decode("utf-8", "replace").split("\n") if (text := line.rstrip("\r"))]
