"""Server-sent events, writing side: one JSON-RPC message is one event.

JSON on one line holds no raw line end, so a message never needs more than one ``data`` line.
"""

from __future__ import annotations

from typing import Final

PING: Final = b": ping\n\n"
"""A comment: keeps intermediaries from closing a quiet stream, ignored by clients."""


def event(message: bytes, event_id: bytes = b"") -> bytes:
    """The event that carries one encoded JSON-RPC message; with an id a client can come back to it."""
    if event_id:
        return b"event: message\nid: " + event_id + b"\ndata: " + message + b"\n\n"
    return b"event: message\ndata: " + message + b"\n\n"


def endpoint_event(address: str) -> bytes:
    """The first event of the HTTP+SSE transport: where the client sends its messages."""
    return b"event: endpoint\ndata: " + address.encode("ascii") + b"\n\n"


def priming(event_id: bytes, retry_ms: int) -> bytes:
    """An event without data: it gives the client an id to come back with before anything was said."""
    return b"id: %b\nretry: %d\ndata:\n\n" % (event_id, retry_ms)


def retry(retry_ms: int) -> bytes:
    """How long the client shall wait after the end of this stream before it comes back, milliseconds."""
    return b"retry: %d\n\n" % retry_ms
