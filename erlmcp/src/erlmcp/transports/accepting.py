"""Accepting connections from a listening socket that belongs to somebody else.

The socket is duplicated, so that stopping to accept closes nothing that another process still uses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

_BACKLOG: Final = 2048
"""The kernel caps it by its own limit; asyncio would lower it to 100 on the shared socket."""


class Accepting:
    """Accepting on one listening socket, until told to stop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self._duplicate = sock.dup()
        self._duplicate.setblocking(False)
        self._server: asyncio.Server | None = None
        self._stopped = False
        self._task = loop.create_task(self._start(loop, make_protocol))

    async def _start(
        self, loop: asyncio.AbstractEventLoop, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._server = await loop.create_server(make_protocol, sock=self._duplicate, backlog=_BACKLOG)
        self._close_if_stopped()

    def stop(self) -> None:
        """Accept no more; also when accepting has only been asked for and has not begun."""
        self._stopped = True
        self._close_if_stopped()

    def _close_if_stopped(self) -> None:
        if self._stopped and self._server is not None:
            self._server.close()
