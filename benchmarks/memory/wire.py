"""A client's end of one kept HTTP connection, in few steps: it opens sessions by the ten thousand.

It reads whole answers by their length or their chunks, and knows no more of HTTP than the servers here use.
"""

from __future__ import annotations

import re
import socket
from types import TracebackType
from typing import Final, Self

from benchmarks.http.messages import FIELDS, HOST, PATH, WrongAnswerError

_TIMEOUT_S: Final = 30.0
_READ_BYTES: Final = 65_536
_END_OF_HEAD: Final = b"\r\n\r\n"
_END_OF_CHUNKS: Final = b"0\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


def post_bytes(port: int, body: bytes, fields: dict[str, str]) -> bytes:
    """A POST to the MCP endpoint as it goes over the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**FIELDS, **fields}.items())
    head = f"POST {PATH} HTTP/1.1\r\nhost: {HOST}:{port}\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


class Connection:
    """One kept connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection((HOST, port), timeout=_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def post(self, body: bytes, fields: dict[str, str]) -> tuple[bytes, bytes]:
        """Head and body of the answer.

        Raises:
            WrongAnswerError: it is no 2xx, or the connection ended before it was whole.
        """
        self._socket.sendall(post_bytes(self._port, body, fields))
        data = b""
        while (whole := _split(data)) is None:
            piece = self._socket.recv(_READ_BYTES)
            if not piece:
                raise WrongAnswerError(f"the connection ended within an answer: {data[:200]!r}")
            data += piece
        head, answer = whole
        if not head.startswith(b"HTTP/1.1 2"):
            raise WrongAnswerError(f"answered with {head[:100]!r}: {answer[:200]!r}")
        return head, answer


def _split(data: bytes) -> tuple[bytes, bytes] | None:
    """Head and body, if both are complete."""
    head, end, body = data.partition(_END_OF_HEAD)
    if not end:
        return None
    length = _LENGTH.search(head)
    if length is not None:
        return (head, body) if len(body) >= int(length[1]) else None
    if _CHUNKED.search(head) is not None:
        return (head, body) if body.endswith(_END_OF_CHUNKS) else None
    return head, body
