"""What may stand where the configuration names a URL that is trusted (https, or http to this machine), or a
network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def loopback_or_https(text: str) -> str:
    """The same text, if it is empty or a URL from which keys and verdicts may be fetched.

    Raises:
        ValueError: it is not.
    """
    if not text:
        return text
    parts = urlsplit(text)
    if not parts.hostname or not text.isascii() or any(character <= " " for character in text):
        raise ValueError("a URL such as https://login.example.com/keys")
    if parts.username is not None or parts.fragment or "#" in text:
        raise ValueError("a URL without user and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("a URL that begins with https://, or http:// to a loopback address")
    return text


def identifier(text: str) -> str:
    """The same text, if it is empty or a URL that can name an issuer or a resource: no query either.

    Raises:
        ValueError: it is not.
    """
    if "?" in loopback_or_https(text):
        raise ValueError("a URL without query")
    return text


def network(text: str) -> str:
    """The same text, if it is an address or a network.

    Raises:
        ValueError: it is not, or it has bits beyond its prefix, so that nobody knows which is meant.
    """
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ValueError("an address or a network such as 10.0.0.0/8") from None
    return text


def is_loopback(host: str) -> bool:
    """Whether a name or an address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
