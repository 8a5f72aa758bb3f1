"""Who issues tokens for this server, as clients read it: protected resource metadata (RFC 9728). Data only.

It is served by ``erlmcp.transports.resource_metadata``; ``challenge`` tells clients where it is.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from erlmcp.config.auth_settings import AuthSettings

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


def metadata_path(settings: AuthSettings) -> str:
    """Where it stands: the well-known path comes before that of the resource (RFC 9728, 3.1)."""
    return WELL_KNOWN + urlsplit(settings.resource).path.rstrip("/")


def metadata_url(settings: AuthSettings) -> str:
    """Its URL as clients reach it; empty where no issuer is named."""
    if not settings.issuers:
        return ""
    parts = urlsplit(settings.resource)
    return f"{parts.scheme}://{parts.netloc}{metadata_path(settings)}"


def document(settings: AuthSettings) -> bytes:
    """The metadata, JSON (RFC 9728, 2)."""
    scopes = {"scopes_supported": list(settings.required_scopes)} if settings.required_scopes else {}
    return msgspec.json.encode(
        {
            "resource": settings.resource,
            "authorization_servers": [each.issuer for each in settings.issuers],
            **scopes,
            "bearer_methods_supported": ["header"],
        }
    )
