"""The handshake sessions that this worker has touched: their connection object, calls and standing stream.

A cache, not a store: a session that is not in here is rebuilt from its id. What is in here and cannot be
rebuilt (running calls, the open GET stream) belongs to this worker anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

from mcp.server.connection import Connection
from mcp.server.runner import aclose_shielded
from mcp.shared.dispatcher import CallOptions

from erlmcp.dispatch.context import is_unwanted
from erlmcp.dispatch.kernel import restored_connection
from erlmcp.dispatch.sdk_private import has_cleanup
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.sessions.asking import Asking
from erlmcp.sessions.bus import SESSION_MESSAGE, Bus, BusEvent
from erlmcp.sessions.log_levels import LogLevels
from erlmcp.sessions.sealed import SessionFacts
from erlmcp.transports.streamable_http.call import Call, Resumption
from erlmcp.transports.streamable_http.get_stream import GetStream
from erlmcp.transports.streamable_http.service import Service

MAX_READY: Final = 1_000
"""Sessions kept ready by one worker only because it saves a little time when they come back. Beyond it the
one unused longest that can be rebuilt from its id is let go."""

MAX_LIVE: Final = 10_000
"""All that are kept, those included for which the guest has left something at their connection."""
_LOOK_AT: Final = 64


class SessionOutbound:
    """What the server sends in a session outside any request: to its GET stream, on whatever worker it is."""

    def __init__(self, sid: str, bus: Bus, asking: Asking, levels: LogLevels, timeout_s: float) -> None:
        self._sid = sid
        self._levels = levels
        self._bus = bus
        self._asking = asking
        self._timeout_s = timeout_s

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the client on its GET stream.

        Raises:
            MCPError: as ``Asking.ask_on_standing_stream``.
        """
        timeout_s = (opts or {}).get("timeout", self._timeout_s)
        return await self._asking.ask_on_standing_stream(self._sid, method, params, timeout_s, self._send)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002 - part of the SDK's protocol
    ) -> None:
        """Send a notification; lost when the client opens no GET stream for long."""
        if is_unwanted(method, params, partial(self._levels.of, self._sid)):
            return
        await self._send(jsonrpc.encode_notification(method, None if params is None else dict(params)))

    async def _send(self, message: bytes) -> None:
        self._bus.publish(BusEvent(SESSION_MESSAGE, self._sid, message))


class LiveSession:
    """One session on this worker.

    Args:
        facts: what is in its id.
        restore: makes its connection object; most sessions that are at rest need none.
    """

    __slots__ = ("_connection", "_restore", "calls", "facts", "resumption", "streams")

    def __init__(self, facts: SessionFacts, restore: Callable[[SessionFacts], Connection]) -> None:
        self.facts = facts
        self._restore = restore
        self._connection: Connection | None = None
        self.calls: dict[RequestId, Call] = {}
        self.resumption: Resumption | None = None
        """Made when its first call is served."""
        self.streams: set[GetStream] = set()
        """Open GETs."""

    @property
    def connection(self) -> Connection:
        """What the kernel and the guest know the session by; made when it is first wanted."""
        if self._connection is None:
            self._connection = self._restore(self.facts)
        return self._connection

    @property
    def holds_something(self) -> bool:
        """Whether the guest has left something at its connection, which a rebuilt one would not have."""
        connection = self._connection
        return connection is not None and bool(connection.state or has_cleanup(connection))

    async def clean_up(self) -> None:
        """Run what the guest has left to be done at its end."""
        if self._connection is not None and has_cleanup(self._connection):
            await aclose_shielded(self._connection)

    def rest(self) -> None:
        """Let the connection object go if nobody would miss it."""
        if not self.calls and not self.holds_something:
            self._connection = None

    @property
    def busy(self) -> bool:
        """Whether something of it lives here that cannot be rebuilt."""
        return bool(self.calls or self.streams)


class LiveSessions:
    """The sessions of this worker, by their ``sid``."""

    def __init__(self, service: Service, bus: Bus, asking: Asking, levels: LogLevels) -> None:
        self._service = service
        self._bus = bus
        self._asking = asking
        self._levels = levels
        self._sessions: OrderedDict[str, LiveSession] = OrderedDict()

    def find(self, sid: str) -> LiveSession | None:
        """The session, if this worker has it."""
        return self._sessions.get(sid)

    def ready(self, facts: SessionFacts, session_id: str) -> LiveSession:
        """The session, rebuilt if this worker does not have it."""
        session = self._sessions.get(facts.sid)
        if session is None:
            self._make_room()
            session = self._sessions[facts.sid] = LiveSession(facts, partial(self._restored, session_id))
        self._sessions.move_to_end(facts.sid)
        return session

    def _restored(self, session_id: str, facts: SessionFacts) -> Connection:
        return restored_connection(self.outbound(facts.sid), session_id, facts.protocol_version, facts.client)

    def outbound(self, sid: str) -> SessionOutbound:
        """The way to the client of a session outside any request."""
        timeout_s = self._service.settings.mcp.request_timeout_s
        return SessionOutbound(sid, self._bus, self._asking, self._levels, timeout_s)

    def drop(self, sid: str) -> None:
        """The session has ended: end its stream, cancel its calls, run what it left to be cleaned up."""
        session = self._sessions.pop(sid, None)
        if session is None:
            return
        for stream in list(session.streams):
            stream.end()
        for call in list(session.calls.values()):
            call.cancel()
        self._clean_up(session)

    async def close(self) -> None:
        """Run what the sessions left to be cleaned up."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.clean_up()

    def _make_room(self) -> None:
        """Let the session unused longest go. Those that stay are looked at again when all others were."""
        count = len(self._sessions)
        if count < MAX_READY:
            return
        for sid, session in list(islice(self._sessions.items(), _LOOK_AT)):
            if not session.busy and (count >= MAX_LIVE or not session.holds_something):
                del self._sessions[sid]
                self._clean_up(session)
                return
            session.rest()
            self._sessions.move_to_end(sid)

    def _clean_up(self, session: LiveSession) -> None:
        if session.holds_something:
            self._service.in_background(self._service.loop.create_task(session.clean_up()))
