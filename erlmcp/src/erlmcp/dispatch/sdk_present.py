"""Whether this interpreter has an SDK that erlmcp can run guests on. It imports nothing of it.

A worker runs in the guest's interpreter, which may be another than the master's; it asks here before it
imports anything that needs the SDK, so that the answer is an error with a name and not an import error.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from erlmcp.dispatch.errors import GuestError

OLDEST: Final = (2, 3)
"""The oldest release of ``mcp`` whose kernel is known."""


def require_sdk() -> None:
    """Return if the SDK is there and new enough.

    Raises:
        GuestError: guest.sdk-missing, guest.sdk-too-old.
    """
    try:
        installed = version("mcp")
    except PackageNotFoundError:
        raise GuestError(
            "guest.sdk-missing",
            f"the guest's interpreter has no package mcp, got {sys.executable}; expected mcp 2.3 or newer",
            hint=f"{sys.executable} -m pip install 'mcp>=2.3,<3', or name the right interpreter as python",
        ) from None
    if _numbers(installed) < OLDEST:
        raise GuestError(
            "guest.sdk-too-old",
            f"the guest's interpreter has mcp {installed}, got {sys.executable}; expected mcp 2.3 or newer",
            hint="install a release of the server for mcp 2, or move it there (FastMCP of mcp 1 is MCPServer"
            " of mcp 2), then: pip install 'mcp>=2.3,<3'",
        )


def _numbers(text: str) -> tuple[int, int]:
    """Major and minor; a part that is no number counts as zero."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major) if major.isdigit() else 0, int(minor) if minor.isdigit() else 0)
