"""The stream of a call that runs at one worker while its client is connected to another.

The worker of the call sends pieces over the bus (``ElsewhereReader``), the one with the client passes them on
(``Relayed``). Pieces are numbered: when one is missing the client is sent away to come back for the rest,
rather than shown a stream with a hole. Who looks for whom is ``get_streams``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from erlmcp.protocol import sse
from erlmcp.protocol.faults import WORKER_DIED
from erlmcp.protocol.jsonrpc import RequestId, encode_fault
from erlmcp.sessions.bus import STREAM_PIECE, Bus, BusEvent
from erlmcp.transports.streamable_http.get_stream import GetStream

MAX_PIECE_BYTES: Final = 8 * 1024 * 1024
"""More than this at once is not passed on between workers; the client has to come to the right one."""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Some whole events of the stream of a call.

    ``worker`` runs the call, ``request_id`` is that of the call, None when it has ended; pieces are counted
    from 0.
    """

    worker: str
    request_id: RequestId | None
    number: int
    data: bytes
    is_last: bool


class ElsewhereReader:
    """A reader of ours whose connection is at another worker.

    Args:
        bus: reaches that worker.
        token: by which it knows the stream.
        worker: our name.
        request_id: of the call, if it is still running.
        on_end: called with the token when we let the connection end.
    """

    def __init__(
        self, bus: Bus, token: str, worker: str, request_id: RequestId | None, on_end: Callable[[str], None]
    ) -> None:
        self._bus = bus
        self._token = token
        self._worker = worker
        self._request_id = request_id
        self._on_end = on_end
        self._number = 0

    def send(self, data: bytes) -> None:
        """Pass on some whole events."""
        if len(data) > MAX_PIECE_BYTES:
            self.end()
        else:
            self._tell(data, is_last=False)

    def end(self, data: bytes = b"") -> None:
        """Let the other worker end its connection."""
        self._tell(data if len(data) <= MAX_PIECE_BYTES else b"", is_last=True)
        self._on_end(self._token)

    def _tell(self, data: bytes, *, is_last: bool) -> None:
        piece = Piece(self._worker, self._request_id, self._number, data, is_last)
        self._number += 1
        self._bus.publish(BusEvent(STREAM_PIECE, self._token, msgspec.msgpack.encode(piece)))


class Relayed:
    """A connection of ours on which another worker speaks.

    Args:
        stream: the connection.
        first: the piece with which the other worker has come forward.
        timer: ends the stream should nothing more come.
        parting: what a client is told that shall come back.
    """

    def __init__(self, stream: GetStream, first: Piece, timer: asyncio.TimerHandle, parting: bytes) -> None:
        self._stream = stream
        self._worker = first.worker
        self._request_id = first.request_id
        self._timer = timer
        self._parting = parting
        self._next = 0

    def take(self, piece: Piece) -> None:
        """Pass on what the other worker says."""
        if piece.number != self._next:
            self._stream.end(self._parting)
            return
        self._next += 1
        if piece.is_last:
            self._stream.end(piece.data)
        elif piece.data:
            self._stream.send(piece.data)

    def worker_gone(self, gone: str) -> None:
        """Workers whose names begin so have ended: if ours is among them there will be no answer."""
        if self._worker.startswith(gone):
            lost = self._request_id
            self._stream.end(b"" if lost is None else sse.event(encode_fault(lost, WORKER_DIED)))

    def part(self) -> None:
        """Something may have been lost: let the client come back for it."""
        self._stream.end(self._parting)

    def over(self) -> None:
        """The connection has ended."""
        self._timer.cancel()
