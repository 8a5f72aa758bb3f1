"""Whom a request comes from, when a proxy that is trusted brings it.

Such a proxy writes the address of its client into a header field. What anybody else writes there is ignored,
and so is the field that the operator has not named: a proxy that writes one passes the other on as it came.
Limits and bans count by the address that is found here; they are other modules of the edge.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from erlmcp.config.schema import HttpSettings
from erlmcp.protocol.headers import Headers

_MAX_PROXIES: Final = 32
"""Addresses of one field that are looked at; a chain is no longer than that."""

_FOR: Final = re.compile(rb'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^";,\s]*))\s*(?=;|$)', re.IGNORECASE)


class Proxies:
    """The proxies that are trusted, by their networks."""

    def __init__(self, settings: HttpSettings) -> None:
        self._networks = [ipaddress.ip_network(each) for each in settings.trusted_proxies]
        self._field = settings.forwarded_field.encode("ascii")
        self._is_rfc_7239 = settings.forwarded_field == "forwarded"
        self._trusts = lru_cache(maxsize=4_096)(self._look_up)

    def trusts(self, address: str) -> bool:
        """Whether a proxy may speak for others from this address."""
        return bool(self._networks) and self._trusts(address)

    def client_of(self, proxy: str, headers: Headers) -> str:
        """The address of the client that a trusted proxy speaks for.

        It is the last in the field that is no trusted proxy itself: what stands before it was written by
        somebody else. Where a trusted proxy does not say, or says what is no address, it is the client.
        """
        value = headers.raw(self._field)
        client = proxy
        if value is None:
            return client
        for element in reversed(value.split(b",")[-_MAX_PROXIES:]):
            address = _address_in(_node_of(element) if self._is_rfc_7239 else element)
            if address is None:
                return client
            client = address
            if not self._trusts(address):
                return client
        return client

    def _look_up(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)


def _node_of(element: bytes) -> bytes:
    """The ``for`` of an element of ``Forwarded`` (RFC 7239, 4)."""
    found = _FOR.search(element)
    return b"" if found is None else found[1] or found[2] or b""


def _address_in(node: bytes) -> str | None:
    """``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80`` as an address alone."""
    text = node.strip().decode("latin-1")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = _parsed(text)
    return None if found is None else str(found)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
