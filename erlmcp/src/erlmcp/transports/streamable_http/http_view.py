"""The HTTP request as guests expect to see it: a Starlette request, made only when a handler may look."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request as StarletteRequest

from erlmcp.transports.http.request import HttpRequest


def starlette_request(request: HttpRequest) -> StarletteRequest:
    """A read-only view; its body is not offered again, the message in it is already decoded."""
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1" if request.is_1_1 else "1.0",
        "method": request.method.decode("ascii"),
        "scheme": "http",
        "path": request.path.decode("latin-1"),
        "raw_path": request.path,
        "query_string": request.query,
        "root_path": "",
        "headers": request.headers.pairs(),
        "client": (request.peer, 0) if request.peer else None,
        "server": request.local,
    }
    return StarletteRequest(scope)
