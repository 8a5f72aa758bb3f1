"""The HTTP request as guests expect to see it: a Starlette request, made only when a handler may look."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request as StarletteRequest

from erlmcp.dispatch.callers import scope_of
from erlmcp.protocol.headers import Headers
from erlmcp.transports.http.request import HttpRequest

_SESSION: Final = b"mcp-session-id"


def without_session(request: HttpRequest) -> Headers:
    """The header fields of a request that belongs to no session over HTTP, whatever it says.

    Guests keep what they know of a client under this name, so nobody may choose it.
    """
    headers = request.headers
    return headers if headers.raw(_SESSION) is None else headers.without((_SESSION,))


def starlette_request(request: HttpRequest, headers: Headers) -> StarletteRequest:
    """A read-only view; its body is not offered again, the message in it is already decoded.

    Args:
        headers: those of the request that the guest may see.
    """
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1" if request.is_1_1 else "1.0",
        "method": request.method.decode("ascii"),
        "scheme": "http",
        "path": request.path.decode("latin-1"),
        "raw_path": request.path,
        "query_string": request.query,
        "root_path": "",
        "headers": headers.pairs(),
        "client": (request.peer, 0) if request.peer else None,
        "server": request.local,
        **scope_of(request.grant),
    }
    return StarletteRequest(scope)
