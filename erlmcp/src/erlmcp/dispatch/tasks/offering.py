"""Declaring the tasks extension for a guest; all it needs then is tools that say they run as tasks."""

from __future__ import annotations

import sys
from typing import Any

from mcp.server.lowlevel.server import Server

from erlmcp.protocol.tasks import EXTENSION, METHODS


def offer_tasks(server: Server[Any], found: Any) -> bool:
    """Declare the extension; False, and nothing is changed, when the guest serves it itself.

    FastMCP refuses to start with a tool that is declared as ``task=True`` unless somebody has registered the
    extension, so there it is registered in FastMCP's own way.
    """
    if EXTENSION in server.extensions or any(server.get_request_handler(each) for each in METHODS):
        return False
    registry = sys.modules.get("fastmcp.server.extensions")
    if registry is None or not hasattr(found, "add_extension"):
        server.extensions[EXTENSION] = {}
        return True
    kind = type("ServedByErlmcp", (registry.ServerExtension,), {"identifier": EXTENSION})
    try:
        found.add_extension(kind())
    except ValueError:  # there is one already
        return False
    return True
