"""The short way on a shared channel: a call of a tool that needs no kernel.

As over HTTP (``erlmcp.transports.streamable_http.compiled_calls``): what is not a plain call of a compiled
tool, also whatever must be refused, goes the ordinary way. An envelope is put through the ordinary checks
once and remembered by its bytes, since the same bytes always fare the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from mcp.server.connection import Connection

from erlmcp.dispatch.compiled_tools import Answer, CallNow, Compiled, CompiledTools, Unwritten
from erlmcp.dispatch.compiling import compiled_tools
from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.on_demand import OnDemand
from erlmcp.protocol import jsonrpc
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.jsonrpc import Malformed, Request
from erlmcp.protocol.modern import Envelope, check_envelope
from erlmcp.protocol.plain_call import PlainCall, decode_plain_call
from erlmcp.telemetry.correlation import Correlation
from erlmcp.transports.duplex.call import ChannelCall, Line
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.streamable_http.compiled_calls import PLAIN_META, is_taken_by_the_kernel
from erlmcp.transports.streamable_http.service import Service

_MAX_ENVELOPES: Final = 256
_MAX_ENVELOPE_BYTES: Final = 4_096


class CompiledCalls:
    """Recognises plain calls of compiled tools; one for a worker."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tools = compiled_tools(service.guest)
        self._max_depth = service.settings.mcp.max_json_depth
        self._envelopes: dict[bytes, Envelope] = {}

    def plain(self, raw: bytes, grant: Grant | None) -> tuple[PlainCall, Compiled] | None:
        """The call and its tool; None when it must go the ordinary way."""
        call = decode_plain_call(raw, max_depth=self._max_depth)
        if call is None:
            return None
        name = call.params.name
        tool = self._tools.find(name)
        return None if tool is None or not self._service.has_short_way(name, grant) else (call, tool)

    def envelope(self, raw: bytes, call: PlainCall) -> Envelope | None:
        """The envelope of a modern call, if the ordinary checks take it."""
        key = bytes(call.params.meta)
        found = self._envelopes.get(key)
        if found is None:
            found = self._check(raw)
            if found is not None and len(key) <= _MAX_ENVELOPE_BYTES:
                if len(self._envelopes) >= _MAX_ENVELOPES:
                    self._envelopes.clear()
                self._envelopes[key] = found
        return found

    def _check(self, raw: bytes) -> Envelope | None:
        try:
            request = jsonrpc.decode(raw, max_depth=self._max_depth)
        except Malformed:
            return None
        if not isinstance(request, Request) or request.params is None:
            return None
        meta = request.params.get("_meta")
        if not isinstance(meta, dict) or not meta.keys() <= PLAIN_META:
            return None
        envelope = check_envelope(request)
        if isinstance(envelope, Fault) or not is_taken_by_the_kernel(envelope, request.params):
            return None
        return envelope

    def answer_now(
        self,
        era: str,
        call: PlainCall,
        call_now: CallNow,
        version: str,
        answer: Callable[[bytes], None],
        peer: Peer,
    ) -> BaseException | None:
        """Call a tool that never waits and answer, in the turn in which its request was read: no task.

        What is returned is what it ended with when a task must make the answer: then ``start`` finishes it.
        """
        service = self._service
        began = time.perf_counter()
        params, correlation = call.params, Correlation()
        correlation.sent = arguments = params.arguments
        try:
            turn = service.turn.for_request(correlation, peer.grant)
            made = call_now(call.id, arguments, self._tools.shapes(version), turn)
        except BaseException as ended:  # noqa: BLE001 - a task raises it, as for any other tool
            return ended
        answer(made.payload)
        outcome = "tool_error" if made.failed else "ok"
        told = correlation if correlation.known_id else None
        took_s = time.perf_counter() - began
        service.finished_call(era, outcome, took_s, peer.transport_name, told, params.name)
        return None

    def start(
        self,
        line: Line,
        era: str,
        plain: tuple[PlainCall, Compiled],
        version: str,
        connection: Callable[[], Connection],
        make_context: Callable[[ChannelCall], CallContext],
        ended: BaseException | None = None,
    ) -> CompiledCall:
        """The call, ready to be started; ``ended`` is what its tool ended with, if it has run already."""
        return CompiledCall(
            self._service, line, era, plain, self._tools, version, connection, make_context, ended
        )


class CompiledCall(ChannelCall):
    """One call of a compiled tool. It is cancelled, timed and counted like any other."""

    def __init__(
        self,
        service: Service,
        line: Line,
        era: str,
        plain: tuple[PlainCall, Compiled],
        tools: CompiledTools,
        version: str,
        connection: Callable[[], Connection],
        make_context: Callable[[ChannelCall], CallContext],
        ended: BaseException | None = None,
    ) -> None:
        call, self._tool = plain
        super().__init__(service, line, Request(call.id, "tools/call", None), era, make_context, None)
        self._plain = call.params
        self._shapes = tools.shapes(version)
        self._version = version
        self._connection = connection
        self._ended = ended

    @property
    def sent(self) -> Any:
        """The arguments of the call."""
        return self._plain.arguments

    async def _answer(self) -> tuple[bytes, str]:
        tool, request_id = self._tool, self.request.id
        kernel, shapes = self._service.kernel, self._shapes
        try:
            if self._ended is not None:
                raise self._ended
            if tool.looks_at_request:
                return self._told(await kernel.call(tool, shapes, request_id, self._asked()))
            return self._told(await tool.call(request_id, self._plain.arguments, shapes))
        except Unwritten as unwritten:
            handler = unwritten.handler
        return self._encoded(await kernel.finish(self._asked(), handler))

    def _called(self) -> tuple[str, bool]:
        return self._plain.name, True

    def _told(self, answer: Answer | dict[str, Any]) -> tuple[bytes, str]:
        if isinstance(answer, dict):
            return self._encoded(answer)
        return answer.payload, "tool_error" if answer.failed else "ok"

    def _asked(self) -> OnDemand:
        return self._service.kernel.on_demand(
            self._plain, self._version, self._line.transport_name, lambda: self.context, self._connection
        )


def modern_connection(envelope: Envelope) -> Connection:
    """The connection object of a request that describes itself."""
    return Connection.from_envelope(
        envelope.protocol_version, envelope.client_info, envelope.client_capabilities
    )
