"""Under which name an address is counted. It decides nothing: limits are the other modules of the edge.

One IPv4 address is one name. Of IPv6 the first 64 bits are: whoever has one address of such a network has all
of them, and could otherwise come as somebody else each time.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_IPV6_PREFIX = 64
_NOWHERE = "nowhere"


@lru_cache(maxsize=4_096)
def network_of(address: str) -> str:
    """The name; whatever is no address is a name by itself."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found.is_loopback:
        return address
    return str(ipaddress.IPv6Network((found, _IPV6_PREFIX), strict=False))


@lru_cache(maxsize=4_096)
def anybody(address: str) -> str:
    """The name; that of a client without an address, as over stdio, is not empty either."""
    return network_of(address) or _NOWHERE


@lru_cache(maxsize=4_096)
def stranger(address: str) -> str:
    """The name of an address that is not this machine; empty if it is."""
    return "" if is_this_machine(address) else network_of(address)


@lru_cache(maxsize=4_096)
def is_this_machine(address: str) -> bool:
    """Whether it is a loopback address, or none at all (a Unix socket)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    mapped = getattr(found, "ipv4_mapped", None)
    return found.is_loopback or (mapped is not None and mapped.is_loopback)
