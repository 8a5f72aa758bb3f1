"""This server among those on other hosts: what its workers hear of them, and they of its workers.

It stands between the bus of this host (``erlmcp.supervisor.master`` relays it) and the one of all hosts
(``erlmcp.sessions.hosts``). When something between hosts may have been missed, the workers are told so, and
every host repeats what it keeps; wishes that come close together are met once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import bus_password, has_shared_keys
from erlmcp.config.schema import BusSettings
from erlmcp.sessions.bus import BUS_GAP, NEWCOMER, BusEvent
from erlmcp.sessions.hosts.bridge import Bridge
from erlmcp.sessions.hosts.letters import Letters
from erlmcp.sessions.sealed import KeyRing
from erlmcp.supervisor.channel import event_of
from erlmcp.supervisor.keeper import Keeper
from erlmcp.supervisor.messages import Relay
from erlmcp.telemetry.exposition import BusMetrics
from erlmcp.telemetry.logs import Log

COLLECT_S: Final = 0.2
"""How long wishes for what we keep are collected before they are met."""

Tell = Callable[[BusEvent], None]

log = Log(__name__)


@dataclass(frozen=True)
class BusAccess:
    """How to reach the other hosts; ``password`` is never shown."""

    settings: BusSettings
    password: str = field(repr=False)


def bus_access(settings: BusSettings, environ: Mapping[str, str]) -> BusAccess | None:
    """What is needed for the bus between hosts; None when there is to be none.

    Raises:
        ErlmcpError: config.password-in-url, config.bus-needs-keys, config.bus-password-file,
            config.redis-missing.
    """
    if not settings.url:
        return None
    if urlsplit(settings.url).password or "password=" in urlsplit(settings.url).query:
        raise ErlmcpError(
            "config.password-in-url",
            "bus.url holds a password, got one that is not shown here; expected none",
            hint="move it to ERLMCP_BUS_PASSWORD, or to the file that ERLMCP_BUS_PASSWORD_FILE names",
        )
    if not has_shared_keys(environ):
        raise ErlmcpError(
            "config.bus-needs-keys",
            "a bus between hosts needs session keys that all hosts share, got none; expected"
            " ERLMCP_SESSION_KEYS_FILE or ERLMCP_SESSION_KEYS",
            hint="give every host the same file of keys",
        )
    try:
        import redis  # noqa: F401 - whether it is there
    except ImportError as fault:
        raise ErlmcpError(
            "config.redis-missing",
            "bus.url is set, got no package redis; expected the extra erlmcp[redis]",
            hint="pip install 'erlmcp[redis]'",
        ) from fault
    return BusAccess(settings, bus_password(environ))


class Hosts:
    """The other hosts.

    Args:
        access: how to reach them.
        host: our name.
        keys: session keys; the first seals.
        keeper: what this host knows of sessions.
        tell_workers: tells every worker of this host.
        clock: seconds of the epoch.
    """

    def __init__(
        self,
        access: BusAccess,
        host: str,
        keys: Sequence[bytes],
        keeper: Keeper,
        tell_workers: Tell,
        clock: Callable[[], float],
    ) -> None:
        self._access = access
        self._keeper = keeper
        self._tell_workers = tell_workers
        self._ring = KeyRing(keys)
        timeout_s = access.settings.timeout_s
        self.bridge = Bridge(
            Letters(self._ring, host, clock),
            timeout_s,
            time.monotonic,
            on_event=self._hear,
            on_gap=self._on_gap,
        )
        self._repeating: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect; nothing waits for it."""
        from erlmcp.sessions.hosts.redis_link import RedisAccess, RedisLink

        settings = self._access.settings
        access = RedisAccess(settings.url, settings.name, self._access.password, settings.ca_file)
        self._running = asyncio.create_task(RedisLink(access, self.bridge, settings.timeout_s).run())

    async def stop(self) -> None:
        """Let go of the line."""
        if self._repeating is not None:
            self._repeating.cancel()
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    def take_keys(self, keys: Sequence[bytes]) -> None:
        """Write and open letters with these keys from now on."""
        self._ring.replace(keys)

    def hear(self, relay: Relay) -> None:
        """A worker of this host has said something. Newcomers are told by our own keeper."""
        try:
            event = event_of(relay)
        except msgspec.MsgspecError as fault:
            log.warning("bus.unreadable-event", fault=str(fault))
            return
        if event.kind != NEWCOMER:
            self.bridge.send(event)

    def send(self, event: BusEvent) -> None:
        """Tell the other hosts."""
        self.bridge.send(event)

    def component(self) -> dict[str, Any]:
        """How it stands, for the readiness page; the host serves without it."""
        bridge = self.bridge
        status = "up" if bridge.is_up else "down"
        return {"name": "bus", "status": status, "critical": False, "detail": bridge.description()}

    def metrics(self) -> BusMetrics:
        """The counts as of now."""
        bridge = self.bridge
        return BusMetrics(bridge.is_up, bridge.hosts, bridge.round_trip_s, asdict(bridge.counts))

    def _hear(self, event: BusEvent) -> None:
        if event.kind == NEWCOMER:
            self._repeat_soon()
            return
        self._keeper.take(event, self.bridge.send)
        self._tell_workers(event)

    def _on_gap(self) -> None:
        """We have missed something of the others, and they perhaps something of us."""
        self._tell_workers(BusEvent(BUS_GAP))
        self.bridge.send(BusEvent(NEWCOMER))
        self._repeat_soon()

    def _repeat_soon(self) -> None:
        if self._repeating is None:
            pause_s = COLLECT_S * random.uniform(0.5, 1.0)  # noqa: S311 - hosts need not speak at once
            self._repeating = asyncio.get_running_loop().call_later(pause_s, self._repeat)

    def _repeat(self) -> None:
        """Tell the other hosts what ours knows of sessions, and let its workers repeat the rest."""
        self._repeating = None
        newcomer = BusEvent(NEWCOMER)
        self._keeper.take(newcomer, self.bridge.send)
        self._tell_workers(newcomer)
