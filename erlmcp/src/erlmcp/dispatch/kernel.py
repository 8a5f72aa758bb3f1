"""Runs one message through the SDK's own kernel, and turns what it raises into a fault.

The kernel owns the semantics (validation, middleware, serialisation by revision). This module owns the
connection object that the kernel wants, and the border at which no text of an exception gets out.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

from mcp.server.connection import Connection
from mcp.server.lowlevel.server import HandlerEntry, Server
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.shared.dispatcher import Outbound
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from mcp.shared.transport_context import TransportContext
from mcp_types import InitializeRequestParams
from mcp_types.version import LATEST_MODERN_VERSION

from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.guest import Guest
from erlmcp.protocol.faults import INTERNAL, Fault, FaultError
from erlmcp.protocol.modern import Envelope

logger = logging.getLogger(__name__)

MODERN_VERSION = LATEST_MODERN_VERSION


class Kernel:
    """The SDK's kernel around one guest."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._server = guest.server
        self._init_options = guest.initialization_options()

    async def modern(
        self,
        context: CallContext,
        envelope: Envelope,
        method: str,
        params: dict[str, Any] | None,
        *,
        outbound: Outbound | None = None,
    ) -> dict[str, Any]:
        """Serve a self-describing request. Raises whatever the handler raises.

        Args:
            outbound: the way to the client outside the request; in this era only a task has one.
        """
        connection = Connection.from_envelope(
            envelope.protocol_version, envelope.client_info, envelope.client_capabilities
        )
        if outbound is not None:
            connection.outbound = outbound
        try:
            return await self._runner(connection).on_request(context, method, params)
        finally:
            await aclose_shielded(connection)

    async def handshake(
        self, context: CallContext, connection: Connection, method: str, params: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Serve a request of a session. Raises whatever the handler raises."""
        return await self._runner(connection).on_request(context, method, params)

    async def notification(
        self, context: CallContext, connection: Connection, method: str, params: dict[str, Any] | None
    ) -> None:
        """Hand a notification to the guest; what it raises is logged by the kernel."""
        await self._runner(connection).on_notify(context, method, params)

    async def finish(
        self, context: CallContext, connection: Connection, params: dict[str, Any], result: Any
    ) -> dict[str, Any]:
        """Serve a call of a tool that has run already: what it returned goes the way of all results."""
        server = cast("Server[Any]", _Ran(self._server, result))
        runner = ServerRunner(server, connection, self._guest.lifespan_state, init_options=self._init_options)
        return await runner.on_request(context, "tools/call", params)

    def _runner(self, connection: Connection) -> ServerRunner[Any]:
        return ServerRunner(
            self._server, connection, self._guest.lifespan_state, init_options=self._init_options
        )


class _Ran:
    """A guest's server whose tool has run already."""

    def __init__(self, server: Server[Any], result: Any) -> None:
        self._server = server
        self._result = result

    def get_request_handler(self, method: str) -> HandlerEntry[Any] | None:
        """The handler of a method; that of the call answers what is there."""
        entry = self._server.get_request_handler(method)
        return entry and replace(entry, handler=self._answer)

    async def _answer(self, _context: Any, _params: Any) -> Any:
        return self._result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def new_connection(outbound: Outbound, session_id: str | None = None) -> Connection:
    """A connection for an ``initialize`` that has not been answered yet.

    Args:
        session_id: tells this client from all others, for guests that keep something of each.
    """
    return Connection.for_loop(outbound, session_id=session_id)


def restored_connection(
    outbound: Outbound, session_id: str, protocol_version: str, client: dict[str, Any]
) -> Connection:
    """The connection of a session that another worker, or we ourselves, have opened before.

    Raises:
        pydantic.ValidationError: the facts are not those of an initialize request.
    """
    connection = Connection(
        outbound,
        protocol_version=protocol_version,
        session_id=session_id,
        client_params=InitializeRequestParams.model_validate(
            {"protocolVersion": protocol_version, **client}, by_name=False
        ),
    )
    connection.initialized.set()
    return connection


def fault_of(exc: Exception) -> Fault:
    """What the client is told about an exception. Text of unforeseen ones goes to the log only."""
    if isinstance(exc, FaultError):
        return exc.fault
    error = handler_exception_to_error_data(exc)
    if error is None:
        logger.error("a handler raised", exc_info=exc)
        return INTERNAL
    return Fault(error.code, error.message, error.data)


def transport_context(kind: str, headers: Any, *, can_ask: bool) -> TransportContext:
    """What the SDK is told about the transport of a message."""
    return TransportContext(kind=kind, can_send_request=can_ask, headers=headers)
