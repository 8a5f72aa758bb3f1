"""The faults that are injected now: refused in production, told to every worker, ended when their time is up.

A worker ends a fault by itself too, so that it never outlasts its time, whatever becomes of the master.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.injected_fault import COMPONENT_DOWN, InjectedFault, read_fault
from erlmcp.supervisor.process import CommandFailedError, WorkerGoneError, WorkerProcess
from erlmcp.telemetry.logs import Log

TELL_INTERVAL_S: Final = 0.5
"""How soon a worker that starts meanwhile is told."""
TELL_TIMEOUT_S: Final = 2.0

log = Log(__name__)


class _Active:
    """One that is injected, and which workers know."""

    def __init__(self, fault: InjectedFault, ends_at: float) -> None:
        self.fault = fault
        self.ends_at = ends_at
        self.told: set[str] = set()


class Injection:
    """Of one server.

    Args:
        environment: where it runs, as of now.
        workers: those that serve or are about to, as of now.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        environment: Callable[[], str],
        workers: Callable[[], Iterable[WorkerProcess]],
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._workers = workers
        self._clock = clock
        self._active: dict[str, _Active] = {}
        self._telling: asyncio.Task[None] | None = None

    async def inject(self, name: str, body: bytes) -> dict[str, Any]:
        """Begin a fault, or begin it anew with other figures.

        Raises:
            ErlmcpError: faults.production, faults.unknown, faults.bad-fault.
        """
        if self._environment() == "production":
            raise ErlmcpError(
                "faults.production",
                f"no fault is injected in production, got {name[:80]!r}; expected environment development or"
                " staging",
                hint="rehearse faults on a server whose environment says that it may fail",
                status=403,
            )
        fault = read_fault(name, body)
        self._active[name] = _Active(fault, self._clock() + fault.for_s)
        log.warning("fault.injected", fault=name, **msgspec.structs.asdict(fault))
        await self._tell_newcomers()
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_until_none())
        return self._described(name)

    async def end(self, name: str) -> dict[str, Any]:
        """End a fault before its time; one that is not injected is none."""
        read_fault(name, b"")
        if self._active.pop(name, None) is not None:
            log.warning("fault.ended", fault=name, why="asked")
            await asyncio.gather(*(self._tell(each, name, None) for each in self._workers()))
        return {"name": name, "active": False}

    def described(self) -> list[dict[str, Any]]:
        """Those that are injected now."""
        return [self._described(name) for name in self._active]

    def components(self, components: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What ``/ready`` tells, with what is injected."""
        if not self._active:
            return components
        down = self._active.get(COMPONENT_DOWN)
        if down is not None:
            detail = {"status": "down", "detail": "a fault is injected"}
            components = [{**e, **detail} if e["name"] == down.fault.component else e for e in components]
        names = ", ".join(sorted(self._active))
        return [*components, {"name": "faults", "status": "down", "critical": False, "detail": names}]

    def close(self) -> None:
        """Tell nobody any more."""
        if self._telling is not None:
            self._telling.cancel()

    def _described(self, name: str) -> dict[str, Any]:
        active = self._active[name]
        left_s = math.ceil(active.ends_at - self._clock())
        asked = msgspec.to_builtins(active.fault)
        return {"name": name, "active": True, "left_s": left_s, "workers": len(active.told), **asked}

    async def _tell_until_none(self) -> None:
        while self._active:
            await asyncio.sleep(TELL_INTERVAL_S)
            now = self._clock()
            for name in [name for name, active in self._active.items() if active.ends_at <= now]:
                del self._active[name]
                log.warning("fault.ended", fault=name, why="its time is up")
            await self._tell_newcomers()

    async def _tell_newcomers(self) -> None:
        for name, active in list(self._active.items()):
            left_s = active.ends_at - self._clock()
            if left_s > 0:
                fault = msgspec.structs.replace(active.fault, for_s=left_s)
                newcomers = [each for each in self._workers() if each.name not in active.told]
                told = await asyncio.gather(*(self._tell(each, name, fault) for each in newcomers))
                active.told |= {each.name for each, heard in zip(newcomers, told, strict=True) if heard}

    async def _tell(self, worker: WorkerProcess, name: str, fault: InjectedFault | None) -> bool:
        argument = msgspec.json.encode([name, fault]).decode()
        with contextlib.suppress(WorkerGoneError, CommandFailedError):
            await worker.command("fault", argument=argument, timeout_s=TELL_TIMEOUT_S)
            return True
        return False
