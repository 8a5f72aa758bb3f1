"""Serves a guest with its own framework's HTTP application on uvicorn, uvloop and httptools: the peers.

``python -m benchmarks.http.peers sdk|lowlevel|fastmcp json|default PORT``
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from benchmarks.http import guests


def application(framework: str, answers: str) -> Any:
    """The application; ``json`` asks for JSON answers where the framework would open an event stream."""
    as_json = answers == "json"
    if framework == "sdk":
        return guests.sdk_server().streamable_http_app(json_response=as_json)
    if framework == "lowlevel":
        return guests.lowlevel_server().streamable_http_app(json_response=as_json)
    return guests.fastmcp_server().http_app(path="/mcp", json_response=as_json)


def main(framework: str, answers: str, port: int) -> None:
    """Serve until a signal comes."""
    uvicorn.run(
        application(framework, answers),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
