"""Tells the service manager of the system (systemd, ``Type=notify``) that we are ready, stopping, alive.

It says nothing when nobody asked, and what cannot be told is logged and never hurts the server. It decides
nothing: the master calls it. Sockets that the manager hands over are ``erlmcp.supervisor.sockets``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from types import MappingProxyType

from erlmcp.telemetry.logs import Log

VARIABLES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
"""They are for the master: a guest that answered in its place would hide that it hangs."""
MARGIN_S = 15.0
"""Asked for beyond our own limits, so that the limits of the manager are never reached before ours."""

log = Log(__name__)


class ServiceManager:
    """Whom to tell, as the environment has it.

    Attributes:
        alive_every_s: how often it wants to hear that we live; None when it does not.
    """

    def __init__(self, environ: Mapping[str, str] = MappingProxyType({})) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        limit = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.alive_every_s: float | None = None
        if self._address and ours and limit.isascii() and limit.isdecimal() and int(limit) > 0:
            self.alive_every_s = int(limit) / 1_000_000 / 3  # two may be late before it loses patience
        self._is_lost = False

    def starting(self, timeout_s: float) -> None:
        """The first generation may take this long."""
        self._tell(f"STATUS=starting\nEXTEND_TIMEOUT_USEC={_microseconds(timeout_s)}")

    def ready(self, status: str) -> None:
        """Clients are answered from now on."""
        self._tell(f"READY=1\nSTATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line for who looks at the service."""
        self._tell(f"STATUS={_one_line(status)}")

    def stopping(self, timeout_s: float) -> None:
        """Nothing new is taken; what runs may take this long."""
        self._tell(f"STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={_microseconds(timeout_s)}")

    async def stay_alive(self) -> None:
        """Tell that the event loop turns, as often as is wanted; ends at once when it is not."""
        while self.alive_every_s is not None:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self.alive_every_s)

    def _tell(self, lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(lines.encode(), self._address)
        except OSError as fault:
            if not self._is_lost:
                log.warning("service-manager.unreachable", fault=str(fault))
            self._is_lost = True
        else:
            self._is_lost = False


def _microseconds(seconds: float) -> int:
    return int((seconds + MARGIN_S) * 1_000_000)


def _one_line(text: str) -> str:
    """Names come from guests; a line of their own would be an order to the manager."""
    return " ".join(text.split())[:200]
