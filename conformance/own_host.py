"""Serves a fixture with the HTTP application of its own framework: the peer that erlmcp is compared with.

It proves the fixtures. What fails here too is a fault of the framework or of a fixture, not of erlmcp.
Started by ``python -m conformance --host own``; by hand: ``python -m conformance.own_host sdk|fastmcp PORT``.
"""

from __future__ import annotations

import itertools
import sys
from typing import Final

import uvicorn
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage
from starlette.applications import Starlette

RETRY_MS: Final = 100
MOST_EVENTS: Final = 10_000


class RecentEvents(EventStore):
    """Keeps the latest events of all streams in memory, for clients that come back."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[str, JSONRPCMessage | None]] = {}
        self._ids = itertools.count(1)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep one event; the oldest goes when there are too many."""
        event_id = str(next(self._ids))
        self._events[event_id] = (stream_id, message)
        if len(self._events) > MOST_EVENTS:
            del self._events[next(iter(self._events))]
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what the same stream had after that event."""
        known = self._events.get(last_event_id)
        if known is None:
            return None
        stream_id = known[0]
        later = itertools.dropwhile(lambda event: event[0] != last_event_id, list(self._events.items()))
        for event_id, (its_stream, message) in itertools.islice(later, 1, None):
            if its_stream == stream_id and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id


def application(fixture: str) -> Starlette:
    """The application that serves a fixture, resumable as the suite wants it."""
    if fixture == "sdk":
        from conformance import fixture_sdk

        return fixture_sdk.server.streamable_http_app(event_store=RecentEvents(), retry_interval=RETRY_MS)
    from conformance import fixture_fastmcp

    return fixture_fastmcp.server.http_app(
        path="/mcp", event_store=RecentEvents(), retry_interval=RETRY_MS, host_origin_protection=True
    )


def main(fixture: str, port: int) -> None:
    """Serve until a signal comes."""
    app = application(fixture)
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
