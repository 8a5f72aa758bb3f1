"""Response heads as bytes, prepared as far as they can be before a request comes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

JSON: Final = b"content-type: application/json\r\n"
EVENT_STREAM: Final = (
    b"content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
)
PLAIN_TEXT: Final = b"content-type: text/plain; charset=utf-8\r\n"
CLOSE: Final = b"connection: close\r\n"
KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
CHUNKED: Final = b"transfer-encoding: chunked\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

STATUS_LINE: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; ``data`` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def field(name: bytes, value: str) -> bytes:
    """One field line. The value comes from us or was checked; a line end in it would be our fault.

    Raises:
        ValueError: the value would end the line.
    """
    encoded = value.encode("latin-1")
    if b"\r" in encoded or b"\n" in encoded:
        raise ValueError("a header value must be one line")
    return name + b": " + encoded + b"\r\n"
