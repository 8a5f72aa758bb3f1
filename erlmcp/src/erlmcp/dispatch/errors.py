"""Why a guest cannot be served, in words for the person who named it."""

from __future__ import annotations

from erlmcp.config.errors import ErlmcpError


class GuestError(ErlmcpError):
    """The guest cannot be found, loaded or started; every id begins with ``guest.``."""

    def __init__(self, error_id: str, message: str, *, hint: str) -> None:
        super().__init__(error_id, message, hint=hint)


def import_failed(name: str, fault: BaseException) -> GuestError:
    """The error for a module that raised while it was imported."""
    if isinstance(fault, SystemExit):
        return GuestError(
            "guest.import-failed",
            f"importing {name!r} ended the program, got exit status {fault.code or 0}; expected a module",
            hint="the log has what it said; its arguments go after --, such as erlmcp serve TARGET -- ARGS",
        )
    return _written_for_mcp_1(name, fault) or GuestError(
        "guest.import-failed",
        f"importing {name!r} raised {type(fault).__name__}: {fault}",
        hint="import it with the same interpreter and mend what it says",
    )


def call_failed(called: str, fault: BaseException) -> GuestError:
    """The error for a function that raised before there was a server."""
    return _written_for_mcp_1(called, fault) or GuestError(
        "guest.start-failed",
        f"calling {called} raised {type(fault).__name__}: {fault}",
        hint="call it with the same interpreter and mend what it says",
    )


def _written_for_mcp_1(name: str, fault: BaseException) -> GuestError | None:
    """The error for code that imports what only ``mcp`` 1 has."""
    if not isinstance(fault, ModuleNotFoundError) or not (fault.name or "").startswith("mcp.server.fastmcp"):
        return None
    return GuestError(
        "guest.sdk-too-old",
        f"{name} is written for mcp 1, got an import of mcp.server.fastmcp; expected a server for mcp 2",
        hint="install a release of it for mcp 2, or change it: FastMCP of mcp 1 is MCPServer of mcp 2"
        " (from mcp.server.mcpserver import MCPServer)",
    )
