"""The production server for Python MCP servers.

What a guest may use of it, and need not: ``dependency`` and ``needs`` tell what it calls and depends on.
"""

from erlmcp.telemetry.dependencies import dependency, needs

__all__ = ["__version__", "dependency", "needs"]

__version__ = "0.1.0"
