"""The two framings as the load generator writes and reads them: bytes prepared once, answers of one length.

All requests have ids of one width, so all right answers have one length: that is how they are told apart
without being parsed, and an answer of another length is noticed at once. Frames to a WebSocket server must be
masked; these have the mask of zeros, which changes nothing and is a mask to the server like any other.
"""

from __future__ import annotations

import base64
import os
from typing import Final, Protocol

LEAST_ID: Final = 1_000_000
MOST_ID: Final = 9_999_999
"""Ids of one width."""

_SHORT: Final = 126
_NO_MASK: Final = b"\x00\x00\x00\x00"


class Framed(Protocol):
    """How one framing writes requests and reads answers."""

    greeting: bytes
    """What the client sends first; empty if it may begin."""

    def request(self, before: bytes, request_id: int, after: bytes) -> bytes:
        """One request, framed."""

    def first_length(self, data: bytes) -> int | None:
        """How long the first answer is with its frame; None when it is not complete."""

    def are_whole(self, data: bytes, length: int) -> bool:
        """Whether the data is nothing but answers of this length."""

    def message(self, frame: bytes) -> bytes:
        """What is in one frame."""


class Lines:
    """One message on each line."""

    greeting = b""

    def request(self, before: bytes, request_id: int, after: bytes) -> bytes:
        """One request, framed."""
        return b"%b%d%b\n" % (before, request_id, after)

    def first_length(self, data: bytes) -> int | None:
        """How long the first answer is with its frame; None when it is not complete."""
        return data.find(b"\n") + 1 or None

    def are_whole(self, data: bytes, length: int) -> bool:
        """Whether the data is nothing but answers of this length."""
        count = len(data) // length
        return data.count(b"\n") == count and data[length - 1 :: length] == b"\n" * count

    def message(self, frame: bytes) -> bytes:
        """What is in one frame."""
        return frame[:-1]


class WebSocket:
    """One message in each text frame."""

    def __init__(self, host: str, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self.greeting = (
            f"GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: mcp\r\n\r\n"
        ).encode()

    def request(self, before: bytes, request_id: int, after: bytes) -> bytes:
        """One request, framed."""
        payload = b"%b%d%b" % (before, request_id, after)
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < _SHORT else b"\x81\xfe" + size.to_bytes(2, "big")
        return head + _NO_MASK + payload

    def first_length(self, data: bytes) -> int | None:
        """How long the first answer is with its frame; None when it is not complete."""
        if len(data) < 4:
            return None
        length = 2 + data[1] if data[1] < _SHORT else 4 + int.from_bytes(data[2:4], "big")
        return length if len(data) >= length else None

    def are_whole(self, data: bytes, length: int) -> bool:
        """Whether the data is nothing but answers of this length."""
        count = len(data) // length
        return data[0::length] == b"\x81" * count and data[1::length] == data[1:2] * count

    def message(self, frame: bytes) -> bytes:
        """What is in one frame."""
        return frame[2 if frame[1] < _SHORT else 4 :]
