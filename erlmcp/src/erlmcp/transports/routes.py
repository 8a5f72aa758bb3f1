"""Which part answers an HTTP request: by its path, before anything of it is read as a message.

The MCP endpoint checks Host and Origin itself; for every other path they are checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from erlmcp.edge.host_origin import Guard, cors_fields
from erlmcp.transports.admission import Admission
from erlmcp.transports.asgi_guest import GuestRoutes
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.resource_metadata import ResourceMetadata
from erlmcp.transports.streamable_http.answers import turn_away
from erlmcp.transports.streamable_http.endpoint import Endpoint
from erlmcp.transports.streamable_http.service import Service

Handler = Callable[[Exchange], None]


class Routes:
    """Handles the exchanges of the HTTP server.

    Args:
        service: what all calls of this worker share.
        endpoint: the MCP endpoint.
        others: our other handlers by path; an empty path switches its handler off.
        metadata: who issues access tokens; open to all, and to pages from anywhere.
        guest: what the guest declares. It is open to all, as it is where the guest serves by itself.
        admission: asks for access tokens; None when nobody does.
    """

    def __init__(
        self,
        service: Service,
        endpoint: Endpoint,
        others: Mapping[str, Handler],
        metadata: ResourceMetadata,
        guest: GuestRoutes,
        admission: Admission | None = None,
    ) -> None:
        self._service = service
        self._mcp = endpoint.handle
        self._mcp_target = service.settings.mcp.path.encode("utf-8")
        self._others = {path.encode("utf-8"): handler for path, handler in others.items() if path}
        self._others.update({path.encode("utf-8"): metadata.handle for path in metadata.paths})
        self._metadata = metadata
        self._guest = guest
        self._guard = Guard(service.settings.mcp)
        self._admission = admission

    def handle(self, exchange: Exchange) -> None:
        """Answer one HTTP request, now or later."""
        request = exchange.request
        if request.target == self._mcp_target or (handler := self._beside(request)) is None:
            self._mcp(exchange)
            return
        is_metadata = handler == self._metadata.handle
        headers = request.headers.without((b"origin",)) if is_metadata else request.headers
        refused = self._guard.refusal(headers, request.local)
        if refused is not None:
            self._service.meter.rejected("host-origin")
            turn_away(exchange, *refused)
            return
        exchange.extra = cors_fields(request.headers)
        if self._admission is None or is_metadata or handler == self._guest.serve:
            handler(exchange)
        else:
            self._admission.admit(exchange, handler)

    def _beside(self, request: HttpRequest) -> Handler | None:
        """Who answers on a path beside the MCP endpoint: our own come before those the guest declares."""
        path = request.path
        handler = self._others.get(path)
        if handler is None and path != self._mcp_target and self._guest.declares(request):
            return self._guest.serve
        return handler
