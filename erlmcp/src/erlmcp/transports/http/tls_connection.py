"""An HTTP connection inside TLS: what differs from ``erlmcp.transports.http.connection``, and nothing else.

TLS has no half-close: the server says goodbye and closes when the client has answered. And asyncio's TLS
transport does not know how much of what it passed on is still unsent, so the kernel is asked.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING, ClassVar

from erlmcp.transports.http.connection import HttpConnection

if TYPE_CHECKING:
    from erlmcp.transports.http.server import HttpServer


class TlsHttpConnection(HttpConnection):
    """The server's end of one connection.

    Args:
        hsts: a field line that every answer carries; may be empty.
    """

    scheme: ClassVar[str] = "https"

    def __init__(self, server: HttpServer, hsts: bytes) -> None:
        super().__init__(server)
        self._hsts = hsts

    def date(self) -> bytes:
        """The field line with the time of now, and the one for TLS."""
        return self._server.date() + self._hsts

    def json_head(self) -> bytes:
        """The beginning of a 200 with JSON."""
        return self._server.json_head() + self._hsts

    def answer_json(self, payload: bytes, fields: bytes = b"") -> None:
        """As ``AtOnceWire``."""
        head = self.json_head() + fields
        self.write_answer(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(payload), payload))
        self.deadline.set("keep-alive")

    def close(self, *, at_once: bool = False) -> None:
        """Say goodbye; a client that does not answer it cannot keep the connection."""
        super().close(at_once=at_once)
        if not at_once:
            self.deadline.set("linger")

    def _linger(self) -> None:
        super()._linger()
        if self._transport is not None:
            self._transport.close()

    def _time_is_up(self, expired: str) -> None:
        if expired == "flush" or (expired == "linger" and not self._has_unsent()):
            self.close(at_once=True)
        else:
            super()._time_is_up(expired)

    def _has_unsent(self) -> bool:
        if super()._has_unsent():
            return True
        if self._transport is None:
            return False
        descriptor = self._transport.get_extra_info("socket").fileno()
        if descriptor < 0:
            return False
        unsent = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
        return bool(struct.unpack("i", unsent)[0])
