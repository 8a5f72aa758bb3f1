"""A transport that collects what is written and is fed by hand; it keeps the contract of asyncio's own.

It is strict where asyncio is: writing after the end raises. Bytes are not delivered while reading is paused,
and a connection that is closed is lost one turn of the loop later.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

_PLACES: Final = {"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 8_000)}


class Sink(asyncio.Transport):
    """The client's end of one connection, as far as a server can see it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._protocol: Any = None
        self.out = bytearray()
        self.closing = False
        self.lost = False
        self.paused = False
        self.ended = False
        """The server has said that nothing more comes."""

    def connect(self, protocol: asyncio.Protocol) -> None:
        """Begin."""
        self._protocol = protocol
        protocol.connection_made(self)

    @property
    def can_deliver(self) -> bool:
        """Whether the server would read now."""
        return not self.paused and not self.closing

    def deliver(self, data: bytes) -> None:
        """Bytes of the client arrive."""
        self._protocol.data_received(data)

    def lose(self) -> None:
        """The connection is gone, whoever ended it."""
        if not self.lost:
            self.closing = self.lost = True
            self._protocol.connection_lost(None)

    # -- asyncio.Transport --

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses, and a socket that options can be set on."""
        return self._sock if name == "socket" else _PLACES.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Collect.

        Raises:
            RuntimeError: nothing may be written any more.
        """
        if self.ended:
            raise RuntimeError("written after the end")
        if not self.closing:
            self.out += data

    def write_eof(self) -> None:
        """Nothing more comes."""
        self.ended = True

    def can_write_eof(self) -> bool:
        """As a TCP connection."""
        return True

    def close(self) -> None:
        """Lose the connection in the next turn."""
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self.lose)

    abort = close

    def is_closing(self) -> bool:
        """Whether it has been closed."""
        return self.closing

    def pause_reading(self) -> None:
        """Deliver nothing for now."""
        self.paused = True

    def resume_reading(self) -> None:
        """Deliver again."""
        self.paused = False

    def is_reading(self) -> bool:
        """Whether bytes are delivered."""
        return self.can_deliver

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Somebody else takes over."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Whoever has it now."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:
        """The client reads everything at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever unsent."""
