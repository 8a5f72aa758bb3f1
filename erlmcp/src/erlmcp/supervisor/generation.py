"""One generation: a version of the guest, its crew of workers, and its way through the table of states.

It never sees another generation: which one is active, and the order of a switch, is
``erlmcp.supervisor.upgrades``. Nothing here loads guest code.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import Effective
from erlmcp.edge.tls import Identity
from erlmcp.supervisor.counting import counted
from erlmcp.supervisor.crew import COMMAND_TIMEOUT_S, Crew
from erlmcp.supervisor.messages import CHANNEL_VERSION, Act, Keys, Start
from erlmcp.supervisor.process import (
    CommandFailedError,
    Ears,
    Launch,
    WorkerGoneError,
    WorkerProcess,
    guest_environment,
    settings_for_worker,
)
from erlmcp.supervisor.sockets import listen_tcp
from erlmcp.supervisor.spec import GenerationSpec
from erlmcp.supervisor.states import CAN_ACCEPT, ENDED, Event, State, after
from erlmcp.supervisor.surroundings import Surroundings
from erlmcp.telemetry.exposition import GenerationMetrics
from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.redaction import OutputRedaction, Redaction, printable
from erlmcp.telemetry.totals import Totals

LOG_TAIL_LINES = 50
DRAIN_POLL_S = 0.1
ACCEPT_SETTLE_S = 0.1
"""Accepted connections may not have been counted yet: one loop turn of a worker."""
REFRESH_TIMEOUT_S = 0.25
MAX_CLOSING_S = 2.5
"""Of the time to end, what is kept for closing connections and the guest's own end."""
PRIVATE = "private"

log = Log(__name__)


class Generation:
    """A generation, from its start to its end.

    Args:
        totals: the counts of an earlier generation of the same id, which go on.
    """

    def __init__(
        self,
        generation_id: str,
        spec: GenerationSpec,
        effective: Effective,
        around: Surroundings,
        totals: Totals,
    ) -> None:
        self.id = generation_id
        self.spec = spec
        self.effective = effective
        self.state = State.STARTING
        self.error: str | None = None
        self.started_at = around.clock()
        self.log_tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
        self.totals = totals
        self.settled = asyncio.Event()
        """Set once the start has succeeded or failed."""
        self._around = around
        self._accepting = False
        self._private = listen_tcp("127.0.0.1", 0, "the private listener")
        self._draining: asyncio.Task[None] | None = None
        self._joining: set[asyncio.Task[None]] = set()
        self._retiring: asyncio.Task[None] | None = None
        self._hint = ""
        settings = effective.settings
        self._output = OutputRedaction(Redaction(settings.log.redact_arguments))
        self._crew = Crew(
            self,
            Ears(self._hear_log, self._hear_output, around.on_relay),
            size=spec.workers or settings.workers,
            settings=settings,
        )
        self.audience = self._crew.audience

    # --- what the switch asks for ---------------------------------------------------------------

    async def start(self) -> None:
        """Start the workers; they hold the sockets and do not accept public traffic yet.

        Raises:
            ErlmcpError: generations.start-failed, with the last lines of the log.
        """
        log.info("generation.staging", generation_id=self.id, target=self.spec.target)
        try:
            await self._crew.start()
        except ErlmcpError as fault:
            self.error = f"{fault.error_id}: {fault.message}"
            self._hint = fault.hint
            if self.state is State.STARTING:
                self._move(Event.BROKE)
            self._private.close()
            raise self.start_fault() from fault
        else:
            self._move(Event.STARTED)
        finally:
            self.settled.set()

    def start_fault(self) -> ErlmcpError:
        """Why it did not start, with the last lines of the log."""
        return ErlmcpError(
            "generations.start-failed",
            f"generation {self.id} did not start, got {self.error}; expected a running guest",
            hint=self._hint,
            exit_code=1,
            status=422,
            log_tail=tuple(self.log_tail),
        )

    async def accept(self) -> None:
        """Accept public traffic; returns when every worker has confirmed it. Undone when it fails.

        Raises:
            ErlmcpError: generations.not-accepting.
        """
        was_draining = self.state in {State.DRAINING, State.WARM}
        self._cancel_drain_wait()
        self._accepting = True
        try:
            await self._crew.order(("resume", ""), *self._public("listen"))
            if self.state not in CAN_ACCEPT:
                raise CommandFailedError(f"it is {self.state} by now")
        except CommandFailedError as fault:
            self._accepting = False
            await self._take_back(was_draining=was_draining)
            raise ErlmcpError(
                "generations.not-accepting",
                f"generation {self.id} does not accept, got {fault}; expected every worker to confirm",
                hint="the generation that was active still is; look at the log and stage a new one",
                exit_code=1,
                status=503,
            ) from fault
        self._move(Event.ACCEPTING)

    async def stop_accepting(self) -> None:
        """Accept no more and begin to drain; returns when every worker has confirmed it.

        Raises:
            ErlmcpError: generations.unconfirmed; it is draining all the same.
        """
        self._accepting = False
        self._move(Event.STOPPED_ACCEPTING)
        self._draining = asyncio.create_task(self._until_drained())
        await self.confirm_stopped()

    async def confirm_stopped(self) -> None:
        """Ask the workers again whether they accept no more.

        Raises:
            ErlmcpError: generations.unconfirmed.
        """
        try:
            await self._crew.order(*self._public("stop-listening"), ("drain", ""))
        except CommandFailedError as fault:
            if not self._crew.ready:
                return  # nobody is left who could accept
            raise ErlmcpError(
                "generations.unconfirmed",
                f"generation {self.id} did not confirm that it accepts no more, got {fault};"
                " expected an answer of every worker",
                hint="a handler may block the event loop; retire the generation to end its workers",
                exit_code=1,
                status=504,
            ) from fault

    def retire(self, *, timeout_s: float) -> asyncio.Task[None]:
        """End the workers within the time: running requests may finish until shortly before it.

        From this call on it cannot be activated; the task ends when the workers have. Asked again, it
        gives the same task.
        """
        if self._retiring is None:
            self._cancel_drain_wait()
            self._accepting = False
            self._move(Event.RETIRE)
            self._retiring = asyncio.create_task(self._end(timeout_s))
        return self._retiring

    async def _end(self, timeout_s: float) -> None:
        closing_s = min(MAX_CLOSING_S, 0.4 * timeout_s)
        await self._crew.stop(deadline_s=timeout_s - closing_s, kill_after_s=timeout_s - 0.1 * closing_s)
        self._private.close()
        self._move(Event.ENDED)

    async def set_log_level(self, level: str) -> None:
        """Change the level of the workers now and of those that come later."""
        self.effective = self.effective.with_values({"log.level": level}, "control")
        if self._crew.ready:
            await self._crew.order(("log-level", level))

    async def renew_identity(self, identity: Identity) -> None:
        """Let the workers prove themselves with this from now on.

        Raises:
            CommandFailedError: one did not confirm; it still may when it comes to it.
        """
        if self._crew.ready:
            await self._crew.order(("identity", ""), identity=identity)

    async def take_keys(self, keys: Sequence[bytes]) -> None:
        """Give the workers other session keys; returns when all have confirmed.

        Raises:
            CommandFailedError: one did not confirm.
        """
        await self._crew.take_keys(keys)

    def replace_no_more(self) -> None:
        """From now on a worker that dies stays dead."""
        self._crew.replace_no_more()

    def kill(self) -> None:
        """End the workers at once."""
        self._crew.kill()

    # --- what the crew asks and tells -----------------------------------------------------------

    def launch(self) -> Launch:
        """How to start the next worker of this generation."""
        listeners = {name: each.fileno() for name, each in self._around.public.items()}
        listeners[PRIVATE] = self._private.fileno()
        start = Start(
            channel_version=CHANNEL_VERSION,
            generation=self.id,
            worker=f"{self._around.host}:{secrets.token_hex(8)}",
            target=self.spec.target,
            settings=settings_for_worker(self.effective.settings),
            keys=list(self._around.keys.current),
            listeners=listeners,
            args=self.spec.args,
            factory=self.spec.factory,
            identity=self._around.identity(),
        )
        return Launch(
            python=self.spec.python or sys.executable,
            cwd=self.spec.cwd,
            env=guest_environment(self.spec.env),
            start=start,
            inherited=tuple(listeners.values()),
        )

    def joined(self, worker: WorkerProcess) -> None:
        """A worker is ready: let it accept if the others do. The keys may have changed since its launch."""
        worker.channel.send(Keys(0, list(self._around.keys.current)))
        acts = self._public("listen") if self._accepting else []
        if not acts and self._around.identity() is None:
            return
        task = asyncio.create_task(self._catch_up(worker, self._around.identity(), acts))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    def left(self, worker: WorkerProcess) -> None:
        """A worker has ended: keep what it counted, and let nobody wait for it."""
        self.totals.stuck += worker.stuck
        self._around.on_gone(worker)
        if worker.report is not None:
            self.totals.keep(worker.report.metrics, cpu_s=worker.report.cpu_s)

    def replacing(self) -> None:
        """A worker died unasked and another one follows."""
        self.totals.restarts += 1

    def broken(self, why: str) -> None:
        """The crew has given up."""
        self.error = why
        self._cancel_drain_wait()
        self._accepting = False
        self._move(Event.BROKE)
        self._private.close()

    # --- what others read -----------------------------------------------------------------------

    @property
    def workers(self) -> list[WorkerProcess]:
        """The workers that can serve."""
        return self._crew.ready

    @property
    def guest(self) -> Mapping[str, str]:
        """Name and version of the guest; empty until it has started."""
        ready = self._crew.guest
        return {"name": ready.name, "version": ready.version} if ready else {"name": "", "version": ""}

    async def refresh(self) -> None:
        """Ask the workers for their counts now, within a short time."""
        if self.state not in ENDED:
            await self._crew.refresh(REFRESH_TIMEOUT_S)

    def description(self) -> dict[str, Any]:
        """The generation as the admin interface shows it."""
        counts = self.metrics()
        return {
            "id": self.id,
            "version": self.spec.version,
            "state": self.state.value,
            "target": self.spec.target,
            "spec_hash": self.spec.digest,
            "workers": [worker.pid for worker in self.workers],
            "private_url": self._private_url,
            "started_at": self.started_at.isoformat(),
            "config_hash": self.effective.digest,
            "in_flight": counts.in_flight,
            "connections": counts.connections,
            "streams": counts.streams,
            "restarts": self.totals.restarts,
            "error": self.error,
            "log_tail": list(self.log_tail),
        }

    def metrics(self) -> GenerationMetrics:
        """The sum over the workers, those that have ended included."""
        return counted(self.id, self.spec.version, self.state, self.workers, self.totals)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _private_url(self) -> str:
        if self.state in ENDED:
            return ""
        host, port = self._private.getsockname()
        return f"http://{host}:{port}"

    def _public(self, act: Act) -> list[tuple[Act, str]]:
        """The act for every public listener."""
        return [(act, name) for name in self._around.public]

    def _move(self, event: Event) -> None:
        before, self.state = self.state, after(self.state, event)
        log.info("generation.moved", generation_id=self.id, before=before.value, after=self.state.value)

    async def _catch_up(
        self, worker: WorkerProcess, identity: Identity | None, acts: list[tuple[Act, str]]
    ) -> None:
        """What the others were told while it started; the identity may have been renewed since."""
        try:
            if identity is not None:
                await worker.command("identity", identity=identity, timeout_s=COMMAND_TIMEOUT_S)
            for act, name in acts:
                await worker.command(act, argument=name, timeout_s=COMMAND_TIMEOUT_S)
        except WorkerGoneError:
            return  # the crew replaces it
        except CommandFailedError as fault:
            log.warning("generation.worker-not-accepting", worker=worker.pid, fault=str(fault))
            worker.kill()

    async def _take_back(self, *, was_draining: bool) -> None:
        acts = self._public("stop-listening")
        if was_draining:
            acts.append(("drain", ""))
        with contextlib.suppress(CommandFailedError):
            await self._crew.order(*acts)
        if self.state is State.DRAINING:
            self._draining = asyncio.create_task(self._until_drained())

    async def _until_drained(self) -> None:
        """Warm as soon as nothing runs, or at the deadline: what still runs then goes on until retirement."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.effective.settings.drain_timeout_s):
                await asyncio.sleep(ACCEPT_SETTLE_S)
                while True:
                    await self.refresh()
                    counts = self.metrics()
                    if counts.in_flight == 0 and counts.streams == 0:
                        break
                    await asyncio.sleep(DRAIN_POLL_S)
        if self.state is State.DRAINING:
            self._move(Event.DRAINED)

    def _cancel_drain_wait(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None

    def _hear_log(self, lines: list[str]) -> None:
        self.log_tail.extend(lines)
        self._around.on_log(lines)

    def _hear_output(self, lines: list[str]) -> None:
        lines = [self._output.line(line) for line in lines]
        self.log_tail.extend(map(printable, lines))
        self._around.on_output(self.id, lines)
