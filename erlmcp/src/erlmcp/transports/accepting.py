"""Accepting connections from a listening socket that belongs to somebody else.

The socket is duplicated, so that stopping to accept closes nothing that another process still uses. asyncio
accepts where nothing stands between a connection and its protocol; where something does (TLS, a proxy that
introduces its client), connections are accepted here and handed on as sockets.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from erlmcp.telemetry.logs import Log

log = Log(__name__)

_BACKLOG: Final = 2048
"""The kernel caps it by its own limit; asyncio would lower it to 100 on the shared socket."""

ACCEPTS_AT_ONCE: Final = 64
"""Connections taken in one turn of the loop; those that are open get their turn in between."""

EXHAUSTED_PAUSE_S: Final = 1.0
"""How long nothing is accepted after the process or the machine has run out of descriptors or memory."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Take = Callable[[socket.socket, str], None]
"""Takes a connection that was accepted, and the address of its client."""

introduced_as: ContextVar[str] = ContextVar("introduced_as", default="")
"""The client of a connection that a proxy has introduced, in the context of the connection."""


def address_of(transport: asyncio.BaseTransport) -> str:
    """The address of the client at the other end; empty if it has none."""
    if introduced := introduced_as.get():
        return introduced
    return _address(transport.get_extra_info("peername"))


def _address(peer: object) -> str:
    return str(peer[0]) if isinstance(peer, tuple) else ""


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


class SocketAccepting:
    """Accepting on one listening socket, until told to stop, and handing on what was accepted."""

    def __init__(self, sock: socket.socket, take: Take) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = sock.dup()
        self._listener.setblocking(False)
        self._take = take
        self._resuming: asyncio.TimerHandle | None = None
        self._resume()

    def stop(self) -> None:
        """Accept no more; what was handed on goes on."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._listener, self._accept)

    def _pause(self, fault: OSError) -> None:
        log.error("listener.cannot-accept", fault=fault.strerror, pause_s=EXHAUSTED_PAUSE_S)
        self._loop.remove_reader(self._listener)
        self._resuming = self._loop.call_later(EXHAUSTED_PAUSE_S, self._resume)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                connection, peer = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return  # another worker was quicker, or the client gave up
            except OSError as fault:
                if fault.errno not in _EXHAUSTED:
                    raise
                self._pause(fault)
                return
            self._take(connection, _address(peer))


def plainly(loop: asyncio.AbstractEventLoop, make_protocol: Callable[[], asyncio.Protocol]) -> Take:
    """Leaves connections to a new protocol as they are."""
    opening: set[asyncio.Task[object]] = set()

    def take(connection: socket.socket, _address: str) -> None:
        task: asyncio.Task[object] = loop.create_task(loop.connect_accepted_socket(make_protocol, connection))
        opening.add(task)
        task.add_done_callback(opening.discard)

    return take


class Listeners:
    """The sockets from which one server accepts, by name."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._accepting: dict[str, Accepting | SocketAccepting] = {}

    def add(
        self,
        name: str,
        sock: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        secure: Take | None,
        before: Callable[[Take], Take] | None,
    ) -> None:
        """Accept from a socket that already listens, unless we do; it stays the caller's.

        Args:
            secure: takes connections into TLS; None for none.
            before: has connections introduced first; None where nobody introduces them.
        """
        if name in self._accepting:
            return
        if secure is None and before is None:
            self._accepting[name] = Accepting(self._loop, sock, make_protocol)
            return
        take = secure or plainly(self._loop, make_protocol)
        self._accepting[name] = SocketAccepting(sock, take if before is None else before(take))

    def stop(self, name: str) -> None:
        """Accept no more from a socket; connections stay."""
        accepting = self._accepting.pop(name, None)
        if accepting is not None:
            accepting.stop()

    def stop_all(self) -> None:
        """Accept no more."""
        for name in list(self._accepting):
            self.stop(name)
