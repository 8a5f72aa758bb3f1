"""All generations, and the acts on them: stage, activate, drain, retire.

The order of a switch is the heart: the new generation accepts and has confirmed it before the old one is
told to stop, so at no moment does nobody accept. Acts that change which generation is active run one after
the other. HTTP is ``erlmcp.admin``; processes are ``erlmcp.supervisor.generation``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import Effective
from erlmcp.edge.tls import Identity
from erlmcp.supervisor.channel import frame
from erlmcp.supervisor.generation import Generation
from erlmcp.supervisor.messages import Relay
from erlmcp.supervisor.process import CommandFailedError, WorkerProcess
from erlmcp.supervisor.spec import GenerationSpec, checked_id
from erlmcp.supervisor.states import CAN_ACCEPT, ENDED, State
from erlmcp.supervisor.surroundings import Surroundings
from erlmcp.telemetry.exposition import GenerationMetrics
from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.totals import Totals

MAX_LIVE = 8
"""Generations with running workers at one time."""
MAX_REMEMBERED = 64
"""Generations that have ended and are still shown; the counts of older ones go on under one name."""
FORGOTTEN = "older"

log = Log(__name__)


@dataclass(frozen=True)
class Switch:
    """What an activation did."""

    active: str
    previous: str | None
    elapsed_s: float


class Upgrades:
    """The generations of one server.

    Args:
        around: what every generation shares.
        configure: the effective configuration with the overrides of one generation.
    """

    def __init__(self, around: Surroundings, configure: Callable[[dict[str, Any]], Effective]) -> None:
        self._around = around
        self._configure = configure
        self._generations: dict[str, Generation] = {}
        self._forgotten = Totals()
        self._has_forgotten = False
        self._switching = asyncio.Lock()
        self._last_switch: Switch | None = None
        self.active: Generation | None = None

    def __iter__(self) -> Iterator[Generation]:
        return iter(list(self._generations.values()))

    async def stage(self, generation_id: str, spec: GenerationSpec) -> tuple[Generation, bool]:
        """Start a generation without letting it accept; the second value says whether it is new.

        Raises:
            ErlmcpError: generations.bad-id, generations.conflict, generations.too-many,
                generations.start-failed, or a fault of its configuration overrides.
        """
        known = self._generations.get(checked_id(generation_id))
        if known is not None and known.state not in ENDED:
            return await self._same(known, spec), False
        effective = self._configure(spec.config)
        if sum(generation.state not in ENDED for generation in self) >= MAX_LIVE:
            raise ErlmcpError(
                "generations.too-many",
                f"no further generation can be staged, got {MAX_LIVE} that run; expected fewer",
                hint="retire one that is warm or staged",
                status=409,
            )
        totals = known.totals if known else Totals()
        generation = Generation(generation_id, spec, effective, self._around, totals)
        self._generations.pop(generation_id, None)
        self._generations[generation_id] = generation
        self._forget_oldest()
        await generation.start()
        return generation, True

    async def activate(self, generation_id: str) -> Switch:
        """Let a generation accept and the active one drain; nothing changes when the new one does not accept.

        Raises:
            ErlmcpError: generations.unknown, generations.not-ready, generations.not-accepting,
                generations.unconfirmed.
        """
        async with self._switching:
            new = self.get(generation_id)
            old = self.active
            if new is old and self._last_switch is not None:
                return await self._confirm(self._last_switch)
            began = time.monotonic()
            _require_can_accept(new)
            await new.accept()
            self.active = new
            previous = old.id if old else None
            self._last_switch = Switch(new.id, previous, 0.0)
            if old is not None and old.state is State.ACTIVE:
                await old.stop_accepting()
            self._last_switch = Switch(new.id, previous, round(time.monotonic() - began, 6))
            log.info("generation.activated", active=new.id, previous=previous)
            return self._last_switch

    async def drain(self, generation_id: str) -> Generation:
        """Let a generation accept no more, with no successor; idempotent.

        Raises:
            ErlmcpError: generations.unknown, generations.unconfirmed.
        """
        async with self._switching:
            generation = self.get(generation_id)
            if generation.state is State.ACTIVE:
                self.active = None
                self._last_switch = None
                await generation.stop_accepting()
            return generation

    async def retire(self, generation_id: str) -> Generation:
        """End a generation that is not active; returns when its workers have ended; idempotent.

        Raises:
            ErlmcpError: generations.unknown, generations.active.
        """
        async with self._switching:
            generation = self.get(generation_id)
            if generation.state is State.ACTIVE:
                raise ErlmcpError(
                    "generations.active",
                    f"generation {generation_id} cannot be retired, got state active; expected another",
                    hint="activate another generation first",
                    status=409,
                )
            if generation.state is State.GONE:
                return generation
            retiring = generation.retire(timeout_s=generation.effective.settings.drain_timeout_s)
        await asyncio.shield(retiring)
        return generation

    def replace_no_more(self) -> None:
        """From now on a worker that dies stays dead."""
        for generation in self:
            generation.replace_no_more()

    async def shut_down(self, timeout_s: float) -> None:
        """End every generation within the time; running requests may finish until shortly before."""
        await asyncio.gather(
            *(each.retire(timeout_s=timeout_s) for each in self if each.state is not State.GONE)
        )

    async def set_log_level(self, level: str) -> None:
        """Change the level of every worker now and of those that come later."""
        await asyncio.gather(*(each.set_log_level(level) for each in self if each.state not in ENDED))

    async def renew_identity(self, identity: Identity) -> None:
        """Let every worker prove itself with this to new clients from now on."""
        living = [each for each in self if each.state not in ENDED]
        answers = await asyncio.gather(
            *(each.renew_identity(identity) for each in living), return_exceptions=True
        )
        for generation, fault in zip(living, answers, strict=True):
            if isinstance(fault, CommandFailedError):
                log.error("tls.not-confirmed", generation_id=generation.id, fault=str(fault))
            elif fault is not None:
                raise fault

    async def take_keys(self, keys: Sequence[bytes]) -> None:
        """Give every worker other session keys; returns when all have confirmed.

        Raises:
            CommandFailedError: one did not confirm.
        """
        await asyncio.gather(*(each.take_keys(keys) for each in self))

    def kill(self) -> None:
        """End every worker at once."""
        for generation in self:
            generation.kill()

    def get(self, generation_id: str) -> Generation:
        """One generation.

        Raises:
            ErlmcpError: generations.unknown.
        """
        generation = self._generations.get(generation_id)
        if generation is None:
            raise ErlmcpError(
                "generations.unknown",
                f"no such generation, got {generation_id[:80]!r};"
                f" expected one of {', '.join(self._generations) or 'none yet'}",
                hint="stage it first",
                status=404,
            )
        return generation

    def relay(self, sender: WorkerProcess | None, relay: Relay) -> None:
        """Pass an event on to every worker of every generation but its sender."""
        data = frame(relay)
        for generation in self:
            for worker in generation.audience():
                if worker is not sender:
                    worker.channel.relay(data, mergeable=relay.mergeable)

    async def refresh(self) -> None:
        """Ask every worker for its counts now, within a short time."""
        await asyncio.gather(*(generation.refresh() for generation in self))

    def metrics(self) -> list[GenerationMetrics]:
        """The counts of every generation, and of the forgotten ones together."""
        counts = [generation.metrics() for generation in self]
        if self._has_forgotten:
            counts.append(GenerationMetrics.of_the_past(FORGOTTEN, self._forgotten))
        return counts

    async def _confirm(self, switch: Switch) -> Switch:
        """The same answer again, once the one before has confirmed again that it accepts no more."""
        previous = self._generations.get(switch.previous or "")
        if previous is not None and previous.state in {State.DRAINING, State.WARM}:
            await previous.confirm_stopped()
        return switch

    async def _same(self, known: Generation, spec: GenerationSpec) -> Generation:
        if known.spec.digest != spec.digest:
            raise ErlmcpError(
                "generations.conflict",
                f"generation {known.id} exists with another spec, got {spec.digest[:12]};"
                f" expected {known.spec.digest[:12]}",
                hint="use another id, or retire the old one first",
                status=409,
            )
        await known.settled.wait()
        if known.state is State.FAILED:
            raise known.start_fault()
        return known

    def _forget_oldest(self) -> None:
        ended = [generation for generation in self if generation.state in ENDED]
        for generation in ended[: max(0, len(ended) - MAX_REMEMBERED)]:
            self._forgotten.add(generation.totals)
            self._has_forgotten = True
            del self._generations[generation.id]


def _require_can_accept(generation: Generation) -> None:
    if generation.state not in CAN_ACCEPT:
        raise ErlmcpError(
            "generations.not-ready",
            f"generation {generation.id} cannot be activated, got state {generation.state.value};"
            f" expected {', '.join(sorted(CAN_ACCEPT))}",
            hint="stage it first, and look at its error and log_tail",
            status=409,
        )
