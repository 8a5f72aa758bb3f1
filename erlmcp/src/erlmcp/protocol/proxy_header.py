"""With what a proxy says whom it speaks for, before anything else: the PROXY protocol, versions 1 and 2.

Bytes in, an address out; it reads no socket and trusts nobody. After HAProxy's specification of the protocol,
https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. What a header of version 2 carries beside the
addresses is skipped.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 2_048
"""Of a whole header, of which those of proxies that are in use need a tenth."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1: Final = b"PROXY "
_MAX_V1: Final = 107
_V1_WORDS: Final = 6
_FIXED: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES: Final = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}
"""Bytes of an address by family and transport; of a pair that is not here nobody learns the client."""


class NoProxyHeaderError(ValueError):
    """These bytes begin no header, or a broken one."""


@dataclass(frozen=True)
class ProxyHeader:
    """A whole header.

    Attributes:
        client: the address of the client; empty where the proxy speaks for itself, or cannot say.
        size: how many bytes it takes; what follows belongs to the client.
    """

    client: str
    size: int


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the beginning of a connection; None while more bytes are needed to tell.

    Raises:
        NoProxyHeaderError: there is none.
    """
    if data.startswith(_SIGNATURE):
        return _version_2(data)
    if data.startswith(_V1):
        return _version_1(data)
    if _SIGNATURE.startswith(data) or _V1.startswith(data):
        return None
    raise NoProxyHeaderError("no PROXY header")


def _version_1(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:_MAX_V1].partition(b"\r\n")
    if not end:
        if len(data) >= _MAX_V1:
            raise NoProxyHeaderError("the line is too long")
        return None
    words = line.split(b" ")
    size = len(line) + 2
    if words[1:2] == [b"UNKNOWN"]:
        return ProxyHeader("", size)
    family = {b"TCP4": ipaddress.IPv4Address, b"TCP6": ipaddress.IPv6Address}.get(words[1])
    if family is None or len(words) != _V1_WORDS or not all(map(_is_port, words[4:])):
        raise NoProxyHeaderError("the line is broken")
    try:
        client, _ = (family(word.decode("ascii")) for word in words[2:4])
    except ValueError:
        raise NoProxyHeaderError("the line has no addresses") from None
    return ProxyHeader(_plain(client), size)


def _is_port(word: bytes) -> bool:
    return word.isdigit() and len(word) <= 5 and int(word) < 65_536


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    size = _FIXED + length
    if command not in (_LOCAL, _PROXY) or size > MAX_BYTES:
        raise NoProxyHeaderError("the header is broken, or too long")
    if len(data) < size:
        return None
    width = _ADDRESSES.get(family)
    if command == _LOCAL or width is None:
        return ProxyHeader("", size)
    if length < 2 * width + 4:
        raise NoProxyHeaderError("the header is too short for its addresses")
    return ProxyHeader(_plain(ipaddress.ip_address(data[_FIXED : _FIXED + width])), size)


def _plain(address: object) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)
