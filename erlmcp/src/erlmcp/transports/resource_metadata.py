"""Answers who issues tokens for this server: open to everybody, from any page, before there is a token.

What it says is ``erlmcp.edge.auth.metadata``. Only the Host of a request is checked, by ``routes``.
"""

from __future__ import annotations

from typing import Final

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.edge.auth.metadata import WELL_KNOWN, document, metadata_path
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.streamable_http.answers import turn_away

_ANY_PAGE: Final = b"access-control-allow-origin: *\r\n"
_KEPT: Final = b"cache-control: public, max-age=3600\r\n"
_METHODS: Final = b"GET, HEAD, OPTIONS"


class ResourceMetadata:
    """Answers at both well-known paths, that of the host and that of the resource."""

    def __init__(self, settings: AuthSettings) -> None:
        self.paths = frozenset({WELL_KNOWN, metadata_path(settings)}) if settings.issuers else frozenset()
        self._body = document(settings)

    def handle(self, exchange: Exchange) -> None:
        """Answer a request for one of the paths."""
        method = exchange.request.method
        exchange.extra = _ANY_PAGE
        if method in (b"GET", b"HEAD"):
            exchange.respond(200, self._body, heads.JSON + _KEPT)
        elif method == b"OPTIONS":
            fields = b"access-control-allow-methods: %b\r\naccess-control-allow-headers: *\r\n" % _METHODS
            exchange.respond(204, fields=fields)
        else:
            turn_away(exchange, 405, "the metadata can only be read", b"allow: %b\r\n" % _METHODS)
