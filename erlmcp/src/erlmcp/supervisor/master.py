"""The master: owns the sockets, the generations and the operators' pages, from start to the last worker.

It never loads guest code or the SDK, so that no guest can hurt it. It answers the admin and control pages
(``erlmcp.admin.service``); the acts themselves are ``erlmcp.supervisor.upgrades``.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from erlmcp import __version__
from erlmcp.admin.dashboard.dashboard import Dashboard, Observation
from erlmcp.admin.pages import admin_app, control_app
from erlmcp.admin.server import PageServer
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import Effective
from erlmcp.config.rules import require_real_issuers
from erlmcp.sessions.bus import WORKER_GONE, BusEvent
from erlmcp.supervisor.channel import frame, relay_of
from erlmcp.supervisor.gauging import Gauging, limits
from erlmcp.supervisor.generation import Generation
from erlmcp.supervisor.hosts import Hosts
from erlmcp.supervisor.injection import Injection
from erlmcp.supervisor.keeper import Keeper
from erlmcp.supervisor.messages import Relay
from erlmcp.supervisor.plan import Plan
from erlmcp.supervisor.process import WorkerProcess
from erlmcp.supervisor.spec import read_spec
from erlmcp.supervisor.states import State
from erlmcp.supervisor.surroundings import Surroundings
from erlmcp.supervisor.upgrades import Upgrades
from erlmcp.telemetry import dependencies, logs
from erlmcp.telemetry.descriptors import raise_limit
from erlmcp.telemetry.reading import Reading

FIRST_GENERATION = "g1"
_OF_THE_WHOLE = ("environment", "tls.", "bus.", "dashboard.")
"""What all generations share."""

log = logs.Log(__name__)


class Master:
    """One running server. Also the ``Service`` that the pages ask."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._effective = plan.effective
        self._endpoints = plan.endpoints
        self._started_at = plan.clock()
        self._asked_to_stop = asyncio.Event()
        self._asked_to_hurry = asyncio.Event()
        around = Surroundings(
            public=plan.endpoints.public,
            keys=plan.keys,
            identity=lambda: plan.renewal.identity,
            clock=plan.clock,
            on_log=lambda lines: plan.log_writer.write_line("\n".join(lines)),
            on_output=_log_output,
            on_relay=self._relay,
            on_gone=self._tell_gone,
            host=secrets.token_hex(8),
        )
        self._upgrades = Upgrades(around, self._configure)
        self._gauging = Gauging(self._started_at, plan.effective.settings.log.file)
        self._dashboard = Dashboard.configured(plan.effective.settings.dashboard, self.observe)
        self._injection = Injection(
            lambda: self._effective.settings.environment,
            lambda: [worker for each in self._upgrades for worker in each.audience()],
            time.monotonic,
        )
        self._keeper = Keeper(plan.effective.settings.mcp, self._seconds)
        self._hosts: Hosts | None = None
        if plan.bus is not None:
            self._hosts = Hosts(
                plan.bus, around.host, plan.keys.current, self._keeper, self._tell_workers, self._seconds
            )

    async def run(self) -> int:
        """Serve until a signal asks to stop; the exit status.

        Raises:
            ErlmcpError: the first generation did not start.
        """
        raise_limit(self._effective.settings.http.max_connections)
        self._hear_signals()
        self._plan.manager.starting(self._effective.settings.start_timeout_s)
        pages = [PageServer(admin_app(self), self._endpoints.admin)]
        if self._endpoints.control is not None:
            pages.append(PageServer(control_app(self), self._endpoints.control.sock))
        for page in pages:
            await page.start()
        if self._dashboard is not None:
            self._dashboard.start()
        if self._hosts is not None:
            self._hosts.start()
        beside = [
            asyncio.create_task(self._plan.renewal.run(self._upgrades.renew_identity)),
            asyncio.create_task(self._plan.manager.stay_alive()),
        ]
        try:
            await self._serve_first()
            await self._asked_to_stop.wait()
            return await self._shut_down()
        finally:
            for task in beside:
                task.cancel()
            self._injection.close()
            self._upgrades.kill()
            if self._hosts is not None:
                await self._hosts.stop()
            if self._dashboard is not None:
                await self._dashboard.stop()
            await asyncio.gather(*(page.stop() for page in pages))
            self._endpoints.close()

    async def _serve_first(self) -> None:
        """Start and activate the first generation, unless asked to stop meanwhile."""
        start = asyncio.create_task(self._start_first())
        stop = asyncio.create_task(self._asked_to_stop.wait())
        await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not start.done():
            start.cancel()
            return
        await start

    async def _start_first(self) -> None:
        generation, _ = await self._upgrades.stage(FIRST_GENERATION, self._plan.spec)
        await self._upgrades.activate(generation.id)
        self._plan.manager.ready(_status(generation))
        guest = generation.guest
        log.info(
            "server.started",
            erlmcp_version=__version__,
            environment=self._effective.settings.environment,
            config_hash=generation.effective.digest,
            guest=guest["name"],
            version=generation.spec.version,
            workers=len(generation.workers),
        )
        where = ", ".join(f"{name} {text}" for name, text in self._endpoints.texts(self._path).items())
        self._plan.announce(f"erlmcp {__version__}: {guest['name']} {generation.spec.version} at {where}")

    async def _shut_down(self) -> int:
        timeout_s = self._effective.settings.drain_timeout_s
        log.info("master.stopping", drain_timeout_s=timeout_s)
        self._plan.manager.stopping(timeout_s)
        self._upgrades.replace_no_more()
        self._endpoints.stop_accepting()
        ending = asyncio.create_task(self._upgrades.shut_down(timeout_s))
        hurry = asyncio.create_task(self._asked_to_hurry.wait())
        await asyncio.wait([ending, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        hurried = not ending.done()
        if hurried:
            self._upgrades.kill()
        await ending
        log.info("master.stopped", hurried=hurried)
        return 1 if hurried else 0

    def _hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_hangup(self) -> None:
        """The terminal has gone, or a program wants files to be read again, which they are anyway."""
        if os.isatty(0):
            self._on_signal()
        else:
            log.info("master.hangup-ignored", hint="the log, tokens and certificates are followed without it")

    def _on_signal(self) -> None:
        if self._asked_to_stop.is_set():
            self._asked_to_hurry.set()
        self._asked_to_stop.set()

    def _relay(self, sender: WorkerProcess, relay: Relay) -> None:
        if relay.kept:
            self._keeper.hear(relay, partial(_tell, sender))
        self._upgrades.relay(sender, relay)
        if self._hosts is not None:
            self._hosts.hear(relay)

    def _tell_gone(self, worker: WorkerProcess) -> None:
        gone = BusEvent(WORKER_GONE, worker.name)
        self._tell_workers(gone)
        if self._hosts is not None:
            self._hosts.send(gone)

    def _tell_workers(self, event: BusEvent) -> None:
        self._upgrades.relay(None, relay_of(event))

    async def _spread_keys(self, keys: Sequence[bytes]) -> None:
        if self._hosts is not None:
            self._hosts.take_keys(keys)
        await self._upgrades.take_keys(keys)

    def _seconds(self) -> float:
        return self._plan.clock().timestamp()

    def _configure(self, overrides: dict[str, Any]) -> Effective:
        for key in overrides:
            if key.startswith(_OF_THE_WHOLE):
                raise ErlmcpError(
                    "generations.not-its-own",
                    f"a generation cannot have its own {key}, got one in config; expected none: the"
                    " environment, listeners, bus and dashboard are shared by all generations",
                    hint=f"set {key} for the whole server, in its configuration file",
                )
        effective = self._effective.with_values(overrides, "generation")
        require_real_issuers(effective.settings)
        self._plan.endpoints.require_meant(effective.settings)
        return effective

    @property
    def _path(self) -> str:
        return self._effective.settings.mcp.path

    @property
    def _shown(self) -> Generation | None:
        """The generation that the pages speak of: the active one, else the one that was last."""
        return self._upgrades.active or next(reversed(list(self._upgrades)), None)

    # --- reads ----------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """Who this is and that it lives."""
        shown = self._shown
        return {
            "status": "alive",
            "service": "erlmcp",
            "erlmcp_version": __version__,
            "guest": dict(shown.guest) if shown else {"name": "", "version": ""},
            "generation": shown.id if shown else "",
            "version": shown.spec.version if shown else self._plan.spec.version,
            "config_hash": (shown.effective if shown else self._effective).digest,
            "started_at": self._started_at.isoformat(),
            "pid": os.getpid(),
            "workers": len(shown.workers) if shown else 0,
        }

    def ready(self) -> dict[str, Any]:
        """Whether it takes requests, component by component."""
        active = self._upgrades.active
        accepting = active is not None and active.state is State.ACTIVE and bool(active.workers)
        draining = self._asked_to_stop.is_set() or any(
            each.state is State.DRAINING for each in self._upgrades
        )
        http = "up" if accepting else "draining" if draining else "down"
        if self._asked_to_stop.is_set():
            http = "draining"
        shown = self._shown
        workers = len(shown.workers) if shown else 0
        guest_runs = shown is not None and workers > 0
        components = [
            _component("http", http, "" if http == "up" else "no generation accepts"),
            _component("workers", "up" if workers else "down", f"{workers} ready"),
            _component("guest", "up" if guest_runs else "down", (shown.error or "") if shown else ""),
        ]
        if self._hosts is not None:
            components.append(self._hosts.component())
        reports = [each.report.metrics for each in shown.workers if each.report] if shown else []
        components = self._injection.components(components + dependencies.components(reports))
        serves = all(each["status"] == "up" for each in components if each["critical"])
        status = "ready" if serves else "not-ready"
        return {"status": "draining" if http == "draining" else status, "components": components}

    async def metrics(self) -> bytes:
        """The Prometheus page, with counts as of now."""
        await self._upgrades.refresh()
        return (await self._reading()).page()

    async def observe(self, *, ask: bool) -> Observation:
        """What the dashboard shows; ``ask`` asks the workers, else their last word counts."""
        if ask:
            await self._upgrades.refresh()
        environment = self._effective.settings.environment
        return Observation(await self._reading(), self.health(), self.ready(), environment)

    def dashboard(self) -> Dashboard | None:
        """The dashboard, if there is one."""
        return self._dashboard

    async def _reading(self) -> Reading:
        living = [each for each in self._upgrades if each.workers]
        return Reading(
            at=self._seconds(),
            erlmcp_version=__version__,
            generations=self._upgrades.metrics(),
            capacity=await self._gauging.read(
                self.ready()["components"],
                [limits(each.id, each.effective.settings, each.workers) for each in living],
            ),
            certificate=self._plan.renewal.metrics(),
            bus=None if self._hosts is None else self._hosts.metrics(),
            log_lines_lost=self._plan.log_writer.lost,
        )

    def config(self) -> dict[str, Any]:
        """The effective configuration of the shown generation."""
        shown = self._shown
        effective = shown.effective if shown else self._effective
        return {
            "hash": effective.digest,
            "environment": effective.settings.environment,
            "values": effective.shown(),
        }

    def listeners(self) -> list[dict[str, Any]]:
        """Where it listens."""
        return self._endpoints.description()

    def faults(self) -> list[dict[str, Any]]:
        """The faults that are injected now."""
        return self._injection.described()

    async def generations(self) -> list[dict[str, Any]]:
        """Every generation, with counts as of now."""
        await self._upgrades.refresh()
        return [generation.description() for generation in self._upgrades]

    # --- acts -----------------------------------------------------------------------------------

    async def stage(self, generation_id: str, body: bytes) -> tuple[dict[str, Any], bool]:
        """Start a generation that does not accept yet."""
        self._require_running()
        generation, is_new = await self._upgrades.stage(generation_id, read_spec(body))
        return generation.description(), is_new

    async def activate(self, generation_id: str) -> dict[str, Any]:
        """Switch to a generation."""
        self._require_running()
        switch = await self._upgrades.activate(generation_id)
        self._plan.manager.status(_status(self._upgrades.get(switch.active)))
        return {"active": switch.active, "previous": switch.previous, "elapsed_s": switch.elapsed_s}

    async def drain(self, generation_id: str) -> dict[str, Any]:
        """Let a generation accept no more."""
        return (await self._upgrades.drain(generation_id)).description()

    async def retire(self, generation_id: str) -> dict[str, Any]:
        """End a generation that is not active."""
        return (await self._upgrades.retire(generation_id)).description()

    async def set_log_level(self, level: str) -> dict[str, Any]:
        """Change the level of every process now, and of those that come later."""
        self._effective = self._effective.with_values({"log.level": level}, "control")
        logs.set_level(level)
        await self._upgrades.set_log_level(level)
        return {"level": level}

    async def inject_fault(self, name: str, body: bytes) -> dict[str, Any]:
        """Begin an injected fault."""
        self._require_running()
        return await self._injection.inject(name, body)

    async def end_fault(self, name: str) -> dict[str, Any]:
        """End an injected fault."""
        return await self._injection.end(name)

    async def change_keys(self) -> dict[str, Any]:
        """Read the session keys again and give them to every worker."""
        self._require_running()
        return {"keys": await self._plan.keys.change(self._spread_keys)}

    def _require_running(self) -> None:
        if self._asked_to_stop.is_set():
            raise ErlmcpError(
                "master.stopping",
                "the server is stopping, got a wish for a change; expected none any more",
                hint="start it again",
                status=503,
            )


def _tell(worker: WorkerProcess, event: BusEvent) -> None:
    worker.channel.relay(frame(relay_of(event)), mergeable=False)


def _status(generation: Generation) -> str:
    return f"{generation.guest['name']} {generation.spec.version}, generation {generation.id}"


def _component(name: str, status: str, detail: str) -> dict[str, Any]:
    return {"name": name, "status": status, "critical": True, "detail": detail}


def _log_output(generation_id: str, lines: list[str]) -> None:
    for line in lines:
        log.info("guest.output", generation=generation_id, text=line)
