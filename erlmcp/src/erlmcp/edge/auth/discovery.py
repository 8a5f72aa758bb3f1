"""Where an issuer says what it offers: authorization server metadata (RFC 8414) or OpenID discovery."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from erlmcp.config.urls import loopback_or_https
from erlmcp.edge.auth.fetching import Fetcher, FetchError


def places(issuer: str) -> list[str]:
    """The URLs at which the metadata of an issuer may be, in the order in which MCP has clients try them."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")

    def at(new_path: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, new_path, "", ""))

    found = [
        at(f"/.well-known/oauth-authorization-server{path}"),
        at(f"/.well-known/openid-configuration{path}"),
    ]
    return [*found, at(f"{path}/.well-known/openid-configuration")] if path else found


async def metadata(fetcher: Fetcher, issuer: str) -> dict[str, Any]:
    """The metadata of an issuer, which must name the same issuer (RFC 8414, 3.3).

    Raises:
        FetchError: there is none, or it is somebody else's.
    """
    faults = []
    for url in places(issuer):
        try:
            found = await fetcher.json(url)
        except FetchError as fault:
            faults.append(str(fault))
            continue
        if found.get("issuer") == issuer:
            return found
        faults.append(f"another issuer at {url}")
    raise FetchError("; ".join(faults))


async def jwks_url(fetcher: Fetcher, issuer: str) -> str:
    """Where the keys of an issuer are.

    Raises:
        FetchError: nobody says so, or it is no place that may be asked.
    """
    url = (await metadata(fetcher, issuer)).get("jwks_uri")
    try:
        if isinstance(url, str) and loopback_or_https(url):
            return url
    except ValueError:
        pass
    raise FetchError(f"the metadata of {issuer} has no jwks_uri with https")
