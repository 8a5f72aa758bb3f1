"""Serves the issuer of ``erlmcp.edge.auth.dev_issuer`` to this machine, and to nobody in production."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import load
from erlmcp.config.urls import is_loopback
from erlmcp.supervisor.sockets import listen_tcp, parse_address

_MAX_WAITING = 100
_USUAL_RESOURCE = "http://127.0.0.1:8080/mcp"
"""That of ``erlmcp serve`` without options."""


def run(http: str, config: Path | None, audience: str, *, opaque: bool) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ErlmcpError: auth.test-issuer, listen.not-loopback, listen.bad-address, listen.in-use.
    """
    settings = load(config, environ=os.environ).settings
    if settings.environment == "production":
        raise ErlmcpError(
            "auth.test-issuer",
            "an issuer that gives everybody a token would run in production, got environment production;"
            " expected development or another",
            hint="on your own machine: ERLMCP_ENVIRONMENT=development erlmcp dev-issuer",
        )
    host, port = parse_address(http, "--http")
    if not is_loopback(host):
        raise ErlmcpError(
            "listen.not-loopback",
            f"an issuer that gives everybody a token would be open to others, got {host}; expected a"
            " loopback address",
            hint="use --http 127.0.0.1:9400",
        )
    import uvicorn

    from erlmcp.edge.auth.dev_issuer import DevIssuer, app_of

    sock = listen_tcp(host, port, "--http")
    url = f"http://{http.rpartition(':')[0]}:{sock.getsockname()[1]}"
    audience = audience or settings.auth.resource or _USUAL_RESOURCE
    app = app_of(DevIssuer(url, audience=audience, opaque=opaque))
    typer.echo(f"dev-issuer: {url} gives everybody a token; never for production")
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="off", limit_concurrency=_MAX_WAITING)
    )
    try:
        server.run(sockets=[sock])
    finally:
        sock.close()
