"""MCP over standard input and output: one client, one channel, newline-delimited JSON-RPC in both eras.

The client starts the process and ends it by closing the input. Only messages go to the output: whatever the
guest or a program it runs prints goes to standard error, because ``take_over`` moves the real output away
before the guest is loaded.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from typing import Final

from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.line_wire import LineWire
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.stream_wire import both

TRANSPORT: Final = "stdio"
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_COPY_BYTES: Final = 65_536
_COPIED_TIMEOUT_S: Final = 2.0


def take_over() -> tuple[int, int]:
    """Move the real input and output to descriptors of our own; what the guest finds in their places is
    an empty input and standard error."""
    real_in, real_out = os.dup(_STDIN), os.dup(_STDOUT)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, _STDIN)
    os.close(empty)
    os.dup2(_STDERR, _STDOUT)
    return real_in, real_out


class StdioWire(LineWire):
    """The server's end; the protocol of the output, and told of the input by ``_Input``."""

    transport_name = TRANSPORT

    def __init__(self, channels: Channels) -> None:
        super().__init__(channels)
        self.ended = asyncio.Event()
        """Set when the client is gone or has been left."""

    def begin(self, out: asyncio.WriteTransport, into: asyncio.ReadTransport) -> None:
        """Serve over these two pipes."""
        self.open(out, into, Peer(TRANSPORT, ""))
        self.forget_silence()  # the client started this process and may take its time

    def end(self, *, refused: bool) -> None:  # noqa: ARG002 - lines have no words for why
        """A pipe is closed as a whole."""
        if self._out is not None:
            self._out.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The output is closed."""
        super().connection_lost(exc)
        self.ended.set()


class _Input(asyncio.Protocol):
    def __init__(self, wire: StdioWire, out: asyncio.WriteTransport) -> None:
        self._wire = wire
        self._out = out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The input is open, and the output has been before it."""
        self._wire.begin(self._out, both(transport))

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        self._wire.data_received(data)

    def eof_received(self) -> bool:
        """The client has closed the input."""
        return self._wire.eof_received()


async def serve_stdio(channels: Channels, real_in: int, real_out: int) -> None:
    """Serve one client until it closes the input, or a drain has left it."""
    loop = asyncio.get_running_loop()
    wire = StdioWire(channels)
    out_pipe, copying = _pipe_to(real_out)
    out, _ = await loop.connect_write_pipe(lambda: wire, _file(out_pipe, "wb"))
    into, _ = await loop.connect_read_pipe(lambda: _Input(wire, out), _file(_pipe_from(real_in), "rb"))
    await wire.ended.wait()
    into.close()
    if copying is not None:
        await asyncio.to_thread(copying.join, _COPIED_TIMEOUT_S)


def _file(descriptor: int, mode: str) -> object:
    return os.fdopen(descriptor, mode, buffering=0)


def _pollable(descriptor: int) -> bool:
    """Whether the loop can watch it: not a file, and not a terminal, which others share."""
    kind = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _pipe_from(descriptor: int) -> int:
    """The same input as a pipe."""
    if _pollable(descriptor):
        return descriptor
    read_end, write_end = os.pipe()
    threading.Thread(target=_copy, args=(descriptor, write_end), daemon=True).start()
    return read_end


def _pipe_to(descriptor: int) -> tuple[int, threading.Thread | None]:
    """The same output as a pipe, and the thread that copies it, if one does."""
    if _pollable(descriptor):
        return descriptor, None
    read_end, write_end = os.pipe()
    copying = threading.Thread(target=_copy, args=(read_end, descriptor), daemon=True)
    copying.start()
    return write_end, copying


def _copy(source: int, target: int) -> None:
    try:
        while data := os.read(source, _COPY_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
    except OSError:
        return  # the other side is gone, which the pipe tells whoever holds its other end
    finally:
        os.close(target)
        os.close(source)
