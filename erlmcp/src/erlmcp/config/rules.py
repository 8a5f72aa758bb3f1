"""Rules that concern several sections of a configuration, for a server and for each generation of it.

The schema judges each value; what is named (files, sockets) is judged by whoever opens it.
"""

from __future__ import annotations

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.schema import Settings


def require_real_issuers(settings: Settings) -> None:
    """Refuse, in production, an issuer that is plain HTTP: one for tests, such as ``erlmcp dev-issuer``.

    Raises:
        ErlmcpError: auth.test-issuer.
    """
    for each in settings.auth.issuers:
        if settings.environment == "production" and each.issuer.startswith("http://"):
            raise ErlmcpError(
                "auth.test-issuer",
                f"tokens of a test issuer would be good in production, got {each.issuer}; expected an issuer"
                " that begins with https://",
                hint='name the real one, or set environment = "development"',
            )
