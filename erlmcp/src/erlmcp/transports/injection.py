"""What injected faults do in a worker. Without one nothing of this is on the request path.

It is told by ``erlmcp.supervisor.injection``; each fault ends by itself.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from erlmcp.config.injected_fault import InjectedFault
from erlmcp.dispatch.at_once import Turn
from erlmcp.protocol.faults import INTERNAL, FaultError
from erlmcp.transports.streamable_http.service import Service

_CONFIRM_S = 0.05
"""The order is confirmed before the event loop stands still."""


class Injection:
    """Of one worker."""

    def __init__(self, service: Service, chance: Callable[[], float] = random.random) -> None:
        self._service = service
        self._chance = chance
        self._active: dict[str, InjectedFault] = {}
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._ballast = bytearray()

    def put(self, name: str, fault: InjectedFault | None) -> None:
        """Begin a fault, or end it."""
        if name in self._ends:
            self._ends.pop(name).cancel()
        self._active.pop(name, None)
        if fault is not None:
            self._active[name] = fault
            self._ends[name] = self._service.loop.call_later(fault.for_s, self.put, name, None)
            if name == "loop-block":
                stand_still = time.sleep  # noqa: TID251 - the loop is to stand still
                self._service.loop.call_later(_CONFIRM_S, stand_still, fault.seconds)
        if name == "memory":
            self._ballast = bytearray(b"\1") * fault.bytes if fault is not None else bytearray()
        self._stand_in_the_way()

    def _stand_in_the_way(self) -> None:
        """Calls that never wait would pass by: they are served as all others while requests are hindered."""
        service = self._service
        hinders = not self._active.keys().isdisjoint({"errors", "latency"})
        service.hinder = self._hinder if hinders else None
        if hinders != isinstance(service.turn, _NoTurn):
            service.turn.close()
            service.turn = (_NoTurn if hinders else Turn)(service.loop)

    async def _hinder(self) -> None:
        """Before a request is served.

        Raises:
            FaultError: it fails instead.
        """
        latency, errors = self._active.get("latency"), self._active.get("errors")
        if latency is not None and self._chance() < latency.share:
            await asyncio.sleep(latency.seconds)
        if errors is not None and self._chance() < errors.share:
            raise FaultError(INTERNAL)


class _NoTurn(Turn):
    @property
    def is_free(self) -> bool:
        """Never."""
        return False
