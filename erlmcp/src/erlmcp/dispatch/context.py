"""What a handler can do while it serves one request: the SDK's ``DispatchContext`` over our transports.

The transport plugs in a ``Channel``; this module knows nothing of HTTP. In the modern era a server never asks
its client anything, so the channel of such a request has ``can_ask`` false.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

import anyio
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext

from erlmcp.protocol import jsonrpc, log_levels
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.protocol.principal import principal_of

CloseStream = Callable[[], Awaitable[None]]
Amend = Callable[[str, dict[str, Any]], dict[str, Any]]
LeastLevel = Callable[[], str | None]


class Channel(Protocol):
    """Where the messages of one request go."""

    @property
    def can_ask(self) -> bool:
        """Whether the client can be sent a request now and its answer can come back."""
        ...

    async def emit(self, message: bytes) -> None:
        """Send an encoded message; one that nobody can receive any more is dropped."""
        ...

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Send a request to the client and wait for its result."""
        ...


class CallContext:
    """The context of one request or notification.

    Args:
        channel: where messages about it go.
        request_id: its id, as it came; None for a notification.
        params: its parameters, for the progress token.
        transport: what the SDK is told of the transport.
        make_request: makes the object that handlers see as the HTTP request, when they ask for it.
        close_stream: closes the connection of this request; its client comes back for the rest. None where
            clients do not know how.
        close_standing_stream: the same for the stream of the session.
        address: where the client is, for limits; empty where there is no telling.
        grant: the access token that came with it; None where none is asked for.

    Attributes:
        amend: changes the parameters of notifications before they are sent; None for nearly all requests.
        least_level: gives the level below which the client wants no log messages; None where each request
            says so for itself.
    """

    def __init__(
        self,
        channel: Channel,
        request_id: RequestId | None,
        params: Mapping[str, Any] | None,
        transport: TransportContext,
        make_request: Callable[[], Any],
        *,
        close_stream: CloseStream | None = None,
        close_standing_stream: CloseStream | None = None,
        address: str = "",
        grant: Grant | None = None,
    ) -> None:
        self.transport = transport
        self.grant = grant
        self.request_id = request_id
        self.address = address
        self.amend: Amend | None = None
        self.least_level: LeastLevel | None = None
        self._channel = channel
        self._params = params
        self._make_request = make_request
        self._close_stream = close_stream
        self._close_standing_stream = close_standing_stream
        self._closed = False

    @property
    def principal(self) -> str:
        """To whom belongs what this request begins; empty if nobody can tell."""
        return principal_of(self.transport.headers) if self.grant is None else self.grant.principal

    @property
    def can_send_request(self) -> bool:
        """Whether the client can be asked something now."""
        return self._channel.can_ask and not self._closed

    @cached_property
    def message_metadata(self) -> ServerMessageMetadata:
        """The HTTP request in the place where the SDK looks for it."""
        return ServerMessageMetadata(
            request_context=self._make_request(),
            close_sse_stream=self._close_stream,
            close_standalone_sse_stream=self._close_standing_stream,
            can_send_request=self._channel.can_ask,
        )

    @cached_property
    def cancel_requested(self) -> anyio.Event:
        """Set when the client has cancelled this request."""
        return anyio.Event()

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        opts: CallOptions | None = None,  # noqa: ARG002 - part of the SDK's protocol
    ) -> None:
        """Send a notification about this request; after the answer there is nothing to send it on."""
        if self._closed or is_unwanted(method, params, self.least_level):
            return
        told = None if params is None else dict(params)
        if self.amend is not None:
            told = self.amend(method, told or {})
        await self._channel.emit(jsonrpc.encode_notification(method, told))

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Ask the client.

        Raises:
            NoBackChannelError: the era forbids it, or the client is gone.
            MCPError: the client answered with an error, or too late.
        """
        if not self.can_send_request:
            raise NoBackChannelError(method)
        return await self._channel.ask(method, params, (opts or {}).get("timeout"))

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress, if the client wants to hear of it."""
        token = progress_token_from_params(self._params)
        if token is None:
            return
        params: dict[str, Any] = {"progressToken": token, "progress": progress}
        if total is not None:
            params["total"] = total
        if message is not None:
            params["message"] = message
        await self.notify("notifications/progress", params)

    async def pass_on(self, message: bytes) -> None:
        """Send an encoded message about this request; after the answer there is nothing to send it on."""
        if not self._closed:
            await self._channel.emit(message)

    def through(self, channel: Channel) -> CallContext:
        """The same request for a handler that goes on after the answer, and talks through another channel."""
        transport = replace(self.transport, can_send_request=True)
        return CallContext(
            channel,
            self.request_id,
            self._params,
            transport,
            self._make_request,
            address=self.address,
            grant=self.grant,
        )

    def close(self) -> None:
        """The request is answered: nothing more may be sent about it."""
        self._closed = True


def is_unwanted(method: str, params: Mapping[str, Any] | None, least_level: LeastLevel | None) -> bool:
    """Whether a notification is a log message below the level that the client has set for its session."""
    if method != log_levels.LOG_MESSAGE or least_level is None:
        return False
    least = least_level()
    return least is not None and not log_levels.is_wanted(params, least)
