"""Bytes of a stream to lines: the framing of MCP on stdio and TCP, one JSON message on each line.

It reads and nothing else. A line ends with LF; a CR before it is dropped, and so is a line with nothing on
it. What it keeps is bounded: past the limit it stops for good, because where the next message begins is
then anybody's guess.
"""

from __future__ import annotations

from typing import Final

LINE_END: Final = b"\n"
_BLANKS: Final = b" \t\r"


class LineReader:
    """The reading side of one stream. ``max_bytes`` bounds a line without its end."""

    __slots__ = ("_max_bytes", "_pieces", "_size", "too_long")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self.too_long = False
        """A line was longer than allowed; nothing is read any more."""

    @property
    def in_line(self) -> bool:
        """Whether a line has begun that has not ended."""
        return self._size > 0

    def whole(self, data: bytes) -> list[bytes]:
        """The lines that these bytes are, if they are whole lines and nothing else, as nearly always.

        ``feed`` would tell the same of them, and need not be asked then. Empty: it must be asked.
        """
        if self._size or not data.endswith(LINE_END) or len(data) > self._max_bytes or self.too_long:
            return []
        if b"\r" in data:
            return []
        return [line for line in data[:-1].split(LINE_END) if line.strip(_BLANKS)]

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without their ends."""
        if self.too_long:
            return []
        if lines := self.whole(data):
            return lines
        first, *others = data.split(b"\n")
        if not self._keep(first) or not others:
            return []
        complete = [b"".join(self._pieces), *others[:-1]]
        self._pieces, self._size = [], 0
        lines = []
        for each in complete:
            line = each.removesuffix(b"\r")
            if len(line) > self._max_bytes:
                self.too_long = True
                return lines
            if line.strip(_BLANKS):
                lines.append(line)
        self._keep(others[-1])
        return lines

    def _keep(self, piece: bytes) -> bool:
        """Whether the line is still short enough."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
        if self._size > self._max_bytes + 1:  # one more may be the CR of its end
            self._pieces, self._size = [], 0
            self.too_long = True
        return not self.too_long


def line(message: bytes) -> bytes:
    """One encoded message as a line; JSON as we write it holds no line end."""
    return message + LINE_END
