"""Runs one message through the SDK's own kernel, and turns what it raises into a fault.

The kernel owns the semantics (validation, middleware, serialisation by revision). This module owns the
connection object that the kernel wants, and the border at which no text of an exception gets out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from mcp.server.connection import Connection
from mcp.server.lowlevel.server import HandlerEntry, Server
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.shared.dispatcher import CallOptions, Outbound
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from mcp.shared.transport_context import TransportContext
from mcp_types import InitializeRequestParams
from mcp_types.version import LATEST_MODERN_VERSION

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.callers import enter
from erlmcp.dispatch.compiled_tools import Answer, Compiled, Handler, RequestId, Unwritten
from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.on_demand import OnDemand
from erlmcp.protocol.faults import INTERNAL, Fault, FaultError
from erlmcp.protocol.modern import Envelope
from erlmcp.protocol.plain_call import PlainParams

logger = logging.getLogger(__name__)

MODERN_VERSION = LATEST_MODERN_VERSION


class Kernel:
    """The SDK's kernel around one guest."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._server = guest.server
        self._tell_transport = _transport_teller(guest)
        self._untraced = sdk_private.Untraced(guest.server)
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
        self._tell_transport(context.transport.kind)
        try:
            return await _serve(self._runner(connection, params), context, method, params)
        finally:
            await _close(connection)

    async def handshake(
        self, context: CallContext, connection: Connection, method: str, params: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Serve a request of a session. Raises whatever the handler raises."""
        self._tell_transport(context.transport.kind)
        return await _serve(self._runner(connection, params), context, method, params)

    async def notification(
        self, context: CallContext, connection: Connection, method: str, params: dict[str, Any] | None
    ) -> None:
        """Hand a notification to the guest, in a task of its own; what it raises is logged."""
        enter(context.grant)
        self._tell_transport(context.transport.kind)
        try:
            runner = self._runner(connection, params)
            await runner.on_notify(context, method, params)
            _let_go(runner)
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("a handler of %r raised what is no exception", method)

    def on_demand(
        self,
        plain: PlainParams,
        version: str,
        transport: str,
        make_context: Callable[[], CallContext],
        make_connection: Callable[[], Connection],
    ) -> OnDemand:
        """The request of a compiled call. ``OnDemand`` says what the arguments are."""
        return OnDemand(self._runner, plain, version, transport, make_context, make_connection)

    async def call(
        self, tool: Compiled, shapes: Any, request_id: RequestId, asked: OnDemand
    ) -> Answer | dict[str, Any]:
        """Call a compiled tool that may look at its request; a result instead of bytes comes from the
        kernel. Raises whatever the tool raises beyond what is an answer."""
        self._tell_transport(asked.transport)
        try:
            try:
                return await tool.call(request_id, asked.arguments, shapes, asked)
            except Unwritten as unwritten:
                handler = unwritten.handler
            return await self.finish(asked, handler)  # not above: what it raises has nothing to do with that
        finally:
            if asked.own_connection is not None:
                await _close(asked.own_connection)

    async def finish(self, asked: OnDemand, handler: Handler) -> dict[str, Any]:
        """Serve a call of a tool that has run already: what it returned goes the way of all results."""
        server = cast("Server[Any]", _Ran(self._server, handler))
        runner = ServerRunner(
            server, asked.connection, self._guest.lifespan_state, init_options=self._init_options
        )
        return await _serve(runner, asked.context, "tools/call", asked.params)

    def _runner(self, connection: Connection, params: Mapping[str, Any] | None) -> ServerRunner[Any]:
        untraced = self._untraced
        server = cast("Server[Any]", untraced) if untraced.serves(params) else self._server
        return ServerRunner(server, connection, self._guest.lifespan_state, init_options=self._init_options)


async def _serve(
    runner: ServerRunner[Any], context: CallContext, method: str, params: dict[str, Any] | None
) -> dict[str, Any]:
    try:
        return await runner.on_request(context, method, params)
    finally:
        _let_go(runner)


def _let_go(runner: ServerRunner[Any]) -> None:
    """It keeps itself by the methods that it has found once, and would wait for the garbage collector."""
    for name in ("on_request", "on_notify"):
        vars(runner).pop(name, None)


class _Ran:
    """A guest's server whose tool has run already: the handler of calls only tells with what."""

    def __init__(self, server: Server[Any], handler: Handler) -> None:
        self._server = server
        self._handler = handler

    def get_request_handler(self, method: str) -> HandlerEntry[Any] | None:
        """The handler of a method; that of the call answers what is there."""
        entry = self._server.get_request_handler(method)
        return entry and replace(entry, handler=self._handler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def _transport_teller(guest: Guest) -> Callable[[str], None]:
    if guest.info.kind != "FastMCP":
        return lambda _: None
    from erlmcp.dispatch.fastmcp_private import transport_teller

    return transport_teller()


async def _close(connection: Connection) -> None:
    """The end of a connection that lived for one request."""
    if sdk_private.has_cleanup(connection):
        await aclose_shielded(connection)


async def part(connection: Connection) -> None:
    """The client of a channel is gone: let the guest clean up after it, and let go of the way to it."""
    await aclose_shielded(connection)
    connection.outbound = _NOBODY


class _Nobody:
    """The way to a client that is gone; part of the SDK's ``Outbound``."""

    async def send_raw_request(
        self,
        method: str,
        params: Mapping[str, Any] | None,  # noqa: ARG002 - part of the SDK's protocol
        opts: CallOptions | None = None,  # noqa: ARG002 - likewise
    ) -> dict[str, Any]:
        """Nobody can be asked."""
        raise NoBackChannelError(method)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Nobody hears it."""


_NOBODY = _Nobody()


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


def fault_of(exc: BaseException) -> Fault:
    """What the client is told about an exception. Text of unforeseen ones goes to the log only.

    A handler that raises ``SystemExit``, ``CancelledError`` or anything else that is no ``Exception`` has
    failed like any other: it would end the calls of all others, or leave its own without an answer.
    """
    if isinstance(exc, FaultError):
        return exc.fault
    error = handler_exception_to_error_data(exc) if isinstance(exc, Exception) else None
    if error is None:
        logger.error("a handler raised", exc_info=exc)
        return INTERNAL
    return Fault(error.code, error.message, error.data)


def transport_context(kind: str, headers: Any, *, can_ask: bool) -> TransportContext:
    """What the SDK is told about the transport of a message."""
    return TransportContext(kind=kind, can_send_request=can_ask, headers=headers)
