"""Who is at the other end of a channel, as far as handlers, limits and metrics want to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erlmcp.dispatch.context import CallContext, Channel
from erlmcp.dispatch.kernel import transport_context
from erlmcp.protocol.grants import Grant
from erlmcp.protocol.headers import Headers
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.streamable_http.http_view import starlette_request, without_session


class Peer:
    """The client of one channel.

    Args:
        transport_name: ``stdio``, ``tcp``, ``websocket`` or ``sse``.
        address: for the rate limit; empty where there is none.
        request: the HTTP request that opened the channel, if one did.

    Attributes:
        grant: the access token of the channel; None where none is asked for, or before it has come.
    """

    __slots__ = ("_request", "address", "grant", "transport_name")

    def __init__(self, transport_name: str, address: str, request: HttpRequest | None = None) -> None:
        self.transport_name = transport_name
        self.address = address
        self._request = request
        self.grant: Grant | None = None if request is None else request.grant

    @property
    def principal(self) -> str:
        """Whose access token the channel has; empty if it has none."""
        return "" if self.grant is None else self.grant.principal

    @property
    def is_alone(self) -> bool:
        """Whether it is the only client of its process."""
        return self.transport_name == "stdio"

    @property
    def headers(self) -> Headers | None:
        """The header fields that came with the opening request; a channel is its own session."""
        return None if self._request is None else without_session(self._request)

    def context(
        self, channel: Channel, request_id: RequestId | None, params: Mapping[str, Any] | None
    ) -> CallContext:
        """What a handler can do while it serves a message of this client.

        Args:
            channel: where messages about it go.
            request_id: its id; None for a notification.
            params: its parameters.
        """
        transport = transport_context(self.transport_name, self.headers, can_ask=channel.can_ask)
        return CallContext(
            channel, request_id, params, transport, self.http_view, address=self.address, grant=self.grant
        )

    def http_view(self) -> Any:
        """The opening request as handlers expect to see it; None where there is no HTTP."""
        request, headers = self._request, self.headers
        return None if request is None or headers is None else starlette_request(request, headers)
