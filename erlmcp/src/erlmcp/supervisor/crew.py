"""The workers of one generation, kept at their number: each that dies is replaced, with growing pauses.

One that is worn (its handlers keep too many threads for ever) serves on until another is ready in its place.

It owns processes and nothing else. Which state the generation is in, and what a worker that has just
started must be told, is ``erlmcp.supervisor.generation``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.schema import Settings
from erlmcp.edge.tls import Identity
from erlmcp.supervisor import silence
from erlmcp.supervisor.messages import STUCK_STATUS, Act, Ready
from erlmcp.supervisor.process import (
    CommandFailedError,
    Ears,
    Launch,
    StartFailedError,
    WorkerGoneError,
    WorkerProcess,
    spawn,
)
from erlmcp.telemetry.logs import Log

QUICK_DEATH_S = 5.0
"""A worker that dies younger than this died quickly."""
MAX_QUICK_DEATHS = 6
"""After so many in a row, and with no other worker left, the generation is broken."""
MAX_PAUSE_S = 5.0
DISMISSED_GRACE_S = 5.0
"""How much longer than its deadline a worker may take to end before it is killed."""
COMMAND_TIMEOUT_S = 3.0
"""A worker that does not confirm in this time is stuck in a handler that blocks its loop."""

log = Log(__name__)


class Owner(Protocol):
    """What a crew tells its generation."""

    def launch(self) -> Launch:
        """How to start the next worker."""

    def joined(self, worker: WorkerProcess) -> None:
        """A worker is ready; tell it what the others were told. Must not wait."""

    def left(self, worker: WorkerProcess) -> None:
        """A worker has ended; its last report is final."""

    def replacing(self) -> None:
        """A worker died unasked and another one follows."""

    def broken(self, why: str) -> None:
        """The workers die again and again, and none is left."""


def pause_s(quick_deaths: int) -> float:
    """How long to wait before the next worker: nothing for the first death, then doubling."""
    if quick_deaths <= 1:
        return 0.0
    return min(0.1 * 2.0 ** min(quick_deaths - 2, 16), MAX_PAUSE_S)


class Crew:
    """A number of workers that is kept.

    Attributes:
        guest: what the first ready worker said about its guest.
    """

    def __init__(self, owner: Owner, ears: Ears, *, size: int, settings: Settings) -> None:
        self._owner = owner
        self._ears = ears
        self._size = size
        self._start_timeout_s = settings.start_timeout_s
        self._drain_timeout_s = settings.drain_timeout_s
        self._silence_limit_s = settings.loop_blocked_exit_s
        self._alive: set[WorkerProcess] = set()
        self._ready: set[WorkerProcess] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self.guest: Ready | None = None

    @property
    def ready(self) -> list[WorkerProcess]:
        """The workers that can serve, oldest process id first."""
        return sorted(self._ready, key=lambda worker: worker.pid)

    def audience(self) -> list[WorkerProcess]:
        """The workers that hear events: one that still starts asks the others before it is ready."""
        return list(self._alive)

    async def start(self) -> None:
        """Start every worker and wait until all are ready; none is left when one fails.

        Raises:
            ErlmcpError: the guest did not start.
        """
        firsts: list[asyncio.Future[None]] = []
        for _ in range(self._size):
            first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            first.add_done_callback(asyncio.Future.exception)  # seen, also when a stop interrupts the start
            firsts.append(first)
            keeper = asyncio.create_task(self._keep(first))
            keeper.add_done_callback(partial(_pass_on_fault, first))
            self._keepers.append(keeper)
        await asyncio.wait(firsts, return_when=asyncio.FIRST_EXCEPTION)
        faults = [fault for first in firsts if first.done() and (fault := first.exception())]
        if faults:
            await self.stop(deadline_s=0.0, kill_after_s=0.0)
            raise faults[0]

    async def order(self, *acts: tuple[Act, str], identity: Identity | None = None) -> None:
        """Tell every ready worker to do something, in this order, and wait until all have confirmed.

        A worker that has ended meanwhile does not count.

        Raises:
            CommandFailedError: one could not or did not confirm, or there was none at all.
        """
        answers = await asyncio.gather(
            *(self._tell(worker, acts, identity) for worker in self.ready), return_exceptions=True
        )
        faults = [each for each in answers if isinstance(each, BaseException)]
        serious = [each for each in faults if not isinstance(each, WorkerGoneError)]
        if serious:
            raise serious[0]
        if len(faults) == len(answers):
            raise CommandFailedError("no worker is ready")

    async def take_keys(self, keys: Sequence[bytes]) -> None:
        """Give every ready worker other session keys; returns when all have confirmed.

        Raises:
            CommandFailedError: one did not confirm. One that has ended meanwhile does not count.
        """
        tasks = [worker.take_keys(keys, timeout_s=COMMAND_TIMEOUT_S) for worker in self.ready]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for each in answers:
            if isinstance(each, BaseException) and not isinstance(each, WorkerGoneError):
                raise each

    async def refresh(self, timeout_s: float) -> None:
        """Ask every worker for its counts now; one that does not answer in time keeps its last."""
        tasks = [worker.command("report", timeout_s=timeout_s) for worker in self.ready]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, *, deadline_s: float, kill_after_s: float) -> None:
        """End every worker.

        Args:
            deadline_s: how long running requests may finish.
            kill_after_s: when a worker is killed that has not ended by itself.
        """
        self._stopping.set()
        stops = [
            worker.command("stop", timeout_s=COMMAND_TIMEOUT_S, deadline_s=deadline_s)
            for worker in self.ready
        ]
        for worker in self._alive - self._ready:
            worker.kill()
        ordering = asyncio.gather(*stops, return_exceptions=True)
        ending = {*self._keepers, *self._leaving}
        if ending:
            await asyncio.wait(ending, timeout=kill_after_s)
        self.kill()
        if self._keepers:
            await asyncio.wait(self._keepers)
        while self._leaving:
            await asyncio.wait(self._leaving)
        await ordering

    def replace_no_more(self) -> None:
        """From now on a worker that dies stays dead."""
        self._stopping.set()

    def kill(self) -> None:
        """End every worker at once."""
        self._stopping.set()
        for worker in self._alive:
            worker.kill()

    async def _tell(
        self, worker: WorkerProcess, acts: Iterable[tuple[Act, str]], identity: Identity | None
    ) -> None:
        await asyncio.gather(
            *(
                worker.command(act, argument=argument, identity=identity, timeout_s=COMMAND_TIMEOUT_S)
                for act, argument in acts
            )
        )

    async def _keep(self, first: asyncio.Future[None]) -> None:
        quick_deaths = 0
        worn: list[WorkerProcess] = []
        while not self._stopping.is_set():
            lived_s, fault = await self._live(first, worn)
            if not first.done():
                first.set_exception(fault or _died_at_start())
                return
            if self._stopping.is_set():
                return
            quick_deaths = quick_deaths + 1 if lived_s < QUICK_DEATH_S else 1
            if quick_deaths >= MAX_QUICK_DEATHS and not self._ready:
                self._owner.broken(f"its workers died {quick_deaths} times in a row soon after they started")
                return
            self._owner.replacing()
            await self._pause(pause_s(quick_deaths))
        if not first.done():
            first.set_exception(_died_at_start())

    async def _live(
        self, first: asyncio.Future[None], worn: list[WorkerProcess]
    ) -> tuple[float, ErlmcpError | None]:
        """One life of one worker: how long it could serve, seconds, and why it did not start.

        Args:
            first: resolves with the first that is ready.
            worn: whose place it takes; when it is worn itself, it is put there, and its end not waited for.
        """
        loop = asyncio.get_running_loop()
        try:
            worker = await spawn(self._owner.launch(), self._ears)
        except OSError as reason:
            return 0.0, _cannot_run(reason)
        self._alive.add(worker)
        if self._stopping.is_set():
            worker.kill()
        fault = await self._until_ready(worker)
        began = loop.time()
        if fault is not None:
            worker.kill()
            await self._bury(worker, began)
            return 0.0, fault
        self._ready.add(worker)
        self._owner.joined(worker)
        if not first.done():
            first.set_result(None)
        while worn:
            self._leave(asyncio.create_task(self._dismiss(worn.pop())))
        burying = asyncio.create_task(self._bury(worker, began))
        wearing = asyncio.create_task(worker.worn.wait())
        await asyncio.wait([burying, wearing], return_when=asyncio.FIRST_COMPLETED)
        wearing.cancel()
        if burying.done():
            await burying
        else:
            log.error("worker.worn", worker=worker.pid, lost=worker.report and worker.report.threads_lost)
            self._leave(burying)
            worn.append(worker)
        return loop.time() - began, None

    def _leave(self, task: asyncio.Task[None]) -> None:
        """Keep hold of what ends a worker that nobody waits for."""
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _dismiss(self, worker: WorkerProcess) -> None:
        """Let a worker go whose place is taken: it drains, and what runs for ever ends with it."""
        with contextlib.suppress(CommandFailedError, WorkerGoneError):
            await worker.command("stop", timeout_s=COMMAND_TIMEOUT_S, deadline_s=self._drain_timeout_s)
        await asyncio.wait([worker.ended], timeout=self._drain_timeout_s + DISMISSED_GRACE_S)
        worker.kill()

    async def _bury(self, worker: WorkerProcess, began: float) -> None:
        """Wait for the end of a worker, whatever brings it."""
        try:
            status = await self._until_ended(worker)
        finally:
            self._alive.discard(worker)
            self._ready.discard(worker)
        self._owner.left(worker)
        if not self._stopping.is_set():
            log.error(
                "worker.died",
                worker=worker.pid,
                status=status,
                stuck=worker.stuck,
                worn=worker.worn.is_set(),
                lived_s=round(asyncio.get_running_loop().time() - began, 3),
            )

    async def _until_ended(self, worker: WorkerProcess) -> int:
        """The exit status of a worker that serves; one that falls silent is ended."""
        minding = asyncio.create_task(silence.mind(worker, limit_s=self._silence_limit_s))
        try:
            status = await worker.ended
        finally:
            minding.cancel()
        worker.stuck |= status == STUCK_STATUS
        return status

    async def _until_ready(self, worker: WorkerProcess) -> ErlmcpError | None:
        try:
            async with asyncio.timeout(self._start_timeout_s):
                ready = await asyncio.shield(worker.ready)
        except TimeoutError:
            return ErlmcpError(
                "generations.start-timeout",
                f"the guest did not start in time, got nothing for {self._start_timeout_s:g} s;"
                " expected it to be ready",
                hint="look what it waits for in the log, or raise start_timeout_s",
                exit_code=1,
            )
        except StartFailedError as fault:
            cause = fault.cause
            return ErlmcpError(cause.error_id, cause.message, hint=cause.hint, exit_code=1)
        except WorkerGoneError:
            return _died_at_start()
        self.guest = self.guest or ready
        return None

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _pass_on_fault(first: asyncio.Future[None], keeper: asyncio.Task[None]) -> None:
    """A bug in keeping must not leave the start waiting for ever."""
    fault = keeper.exception()
    if fault is not None:
        log.error("crew.keeper-failed", fault=repr(fault))
        if not first.done():
            first.set_exception(fault)


def _died_at_start() -> ErlmcpError:
    return ErlmcpError(
        "generations.worker-died",
        "the worker ended before the guest had started, got no reason from it; expected it to be ready",
        hint="the last lines of its log say more",
        exit_code=1,
    )


def _cannot_run(fault: OSError) -> ErlmcpError:
    return ErlmcpError(
        "generations.cannot-run",
        f"the worker cannot be run, got {fault}; expected an interpreter and a working directory that exist",
        hint="check python and cwd of the generation",
        exit_code=1,
    )
