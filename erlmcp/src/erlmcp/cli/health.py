"""Asks a running server how it is, for health checks that are commands: containers, probes, scripts.

One request to the admin listener, no retries: whoever asks decides how often.
"""

from __future__ import annotations

import http.client
import json
from typing import Any

from erlmcp.config.errors import ErlmcpError

MAX_ANSWER_BYTES = 1024 * 1024
_OK = 200
_UNREADY = 503
_SAYS = {"/ready": "ready", "/health": "alive"}
"""What a server says that is well: another program at the same address would not."""


def look(admin: str, path: str, *, timeout_s: float) -> tuple[bool, dict[str, Any]]:
    """Whether the page says that all is well, and what it says.

    Args:
        admin: HOST:PORT of the admin listener.
        path: ``/ready`` or ``/health``.

    Raises:
        ErlmcpError: admin.unreachable.
    """
    connection = http.client.HTTPConnection(admin, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status not in (_OK, _UNREADY):
            raise ValueError(f"status {response.status}")
        answer = json.loads(response.read(MAX_ANSWER_BYTES))
        if not isinstance(answer, dict):
            raise TypeError("no object")
    except (OSError, ValueError, TypeError, http.client.HTTPException) as fault:
        raise ErlmcpError(
            "admin.unreachable",
            f"the server does not answer, got {str(fault) or type(fault).__name__} from {admin}{path};"
            " expected the admin listener of a running server",
            hint="give the address that erlmcp serve --admin was started with",
            exit_code=1,
        ) from fault
    finally:
        connection.close()
    return response.status == _OK and answer.get("status") == _SAYS[path], answer
