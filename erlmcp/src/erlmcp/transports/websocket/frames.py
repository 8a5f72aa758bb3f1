"""Bytes of a WebSocket client to messages, as long as its frames are the plain ones.

A plain frame is one whole text message, masked, without extensions (RFC 6455, 5.2): nearly all that clients
of MCP send. It is read here because the ``websockets`` package takes four times as long for one, which makes
every case from one generator. All else is handed to that package: pings, pongs and goodbyes each alone, and
whatever is more than that (fragments, binary, no mask, too long, no UTF-8) with all that follows it.

It reads and nothing else; see ``erlmcp.transports.websocket.wire``.
"""

from __future__ import annotations

from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # where the package was built without its C part
    from websockets.utils import apply_mask

_WHOLE_TEXT: Final = 0x81
_CONTROL: Final = frozenset({0x88, 0x89, 0x8A})
"""Goodbye, ping and pong, as their first byte is."""

_MASKED: Final = 0x80
_LENGTH_16: Final = _MASKED | 126
_LENGTH_64: Final = _MASKED | 127
_MASK_SIZE: Final = 4


class FrameReader:
    """The reading side of one connection. ``max_bytes`` bounds a message, and with it what is kept."""

    __slots__ = ("_kept", "_max_bytes", "is_over")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept = bytearray()
        self.is_over = False
        """Nothing is read here any more: all that comes is for the package."""

    @property
    def kept(self) -> int:
        """Bytes of a frame that has begun."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now, up to the first frame that is not plain."""
        read: bytes | bytearray = data
        if self._kept:
            self._kept += data
            read = self._kept
        messages: list[bytes] = []
        at, end = 0, 0 if self.is_over else len(read)
        while end - at > 1 and read[at] == _WHOLE_TEXT:
            size, begin = read[at + 1], at + 2
            if size < _LENGTH_16:
                size -= _MASKED
            else:
                begin += 2 if size == _LENGTH_16 else 8
                size = int.from_bytes(read[at + 2 : begin], "big") if begin <= end else -1
            if not 0 <= size <= self._max_bytes:  # not masked, or not known yet, or too long
                break
            payload = begin + _MASK_SIZE
            stop = payload + size
            if stop > end:
                break
            message = apply_mask(read[payload:stop], read[begin:payload])
            if not (message.isascii() or is_utf8(message)):
                break
            messages.append(message)
            at = stop
        if read is self._kept:
            del self._kept[:at]
        elif at < len(read):
            self._kept += read[at:]
        return messages

    def rest(self) -> bytes:
        """What is for the package, of what came behind the messages that were read last."""
        kept = self._kept
        if self.is_over or (kept and not self._is_control_or_begun()):
            self.is_over = True
            return self._take(len(kept))
        if len(kept) > 1 and kept[0] in _CONTROL:
            size = 2 + _MASK_SIZE + kept[1] - _MASKED
            if len(kept) >= size:
                return self._take(size)
        return b""

    def _is_control_or_begun(self) -> bool:
        """Whether what is kept is a frame that control is taken with, or the beginning of a plain one."""
        kept = self._kept
        if len(kept) == 1:
            return kept[0] == _WHOLE_TEXT or kept[0] in _CONTROL
        if kept[0] in _CONTROL:
            return _MASKED <= kept[1] < _LENGTH_16
        return kept[0] == _WHOLE_TEXT and kept[1] >= _MASKED and self._is_begun()

    def _is_begun(self) -> bool:
        """Whether this frame may become a message: it is not whole yet, and not too long."""
        kept, size, begin = self._kept, self._kept[1], 2
        if size < _LENGTH_16:
            size -= _MASKED
        else:
            begin += 2 if size == _LENGTH_16 else 8
            if len(kept) < begin:
                return True
            size = int.from_bytes(kept[2:begin], "big")
        return size <= self._max_bytes and len(kept) < begin + _MASK_SIZE + size

    def _take(self, size: int) -> bytes:
        taken = bytes(self._kept[:size])
        del self._kept[:size]
        return taken


def is_utf8(message: bytes) -> bool:
    """Whether it is text, as every message must be."""
    try:
        message.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
