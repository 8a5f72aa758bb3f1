"""PROXY headers of both versions, whole, in pieces, broken and absent."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.protocol.proxy_header import MAX_BYTES, NoProxyHeaderError, read_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
MESSAGE = b"POST /mcp HTTP/1.1\r\n"


def second(client="192.0.2.7", *, command=0x21, family=0x11, more=b"", length=None):
    """A header of version 2."""
    kind = socket.AF_INET6 if ":" in client else socket.AF_INET
    packed = socket.inet_pton(kind, client)
    body = packed + bytes(len(packed)) + struct.pack("!HH", 50_000, 443) + more
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 443\r\n", "192.0.2.7"),
        (b"PROXY TCP6 2001:DB8::7 ::1 50000 443\r\n", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 0 65535\r\n", "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ""),
        (second(), "192.0.2.7"),
        (second("2001:db8::7", family=0x21), "2001:db8::7"),
        (second(more=b"\x04\x00\x02ab"), "192.0.2.7"),
        (second(command=0x20), ""),
        (second(family=0x00), ""),
        (second(family=0x31), ""),
        (SIGNATURE + b"\x20\x00\x00\x00", ""),
    ],
)
def test_a_whole_header_says_the_client_and_where_it_ends_however_it_comes(header, client):
    found = read_proxy_header(header + MESSAGE)
    assert (found.client, found.size) == (client, len(header))
    for end in range(len(header)):
        assert read_proxy_header(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        MESSAGE,
        b"{",
        b"\x16\x03\x01",
        b"PROXYTCP4",
        b"PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.777 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7  1 2\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4 " + b"1" * 107,
        SIGNATURE[:-1] + b"X",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        second(length=11),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_BYTES - 15),
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(NoProxyHeaderError):
        read_proxy_header(data)


def test_a_header_may_be_as_long_as_is_said_and_no_longer():
    assert read_proxy_header(second(more=bytes(MAX_BYTES - 28))).size == MAX_BYTES
    with pytest.raises(NoProxyHeaderError):
        read_proxy_header(second(more=bytes(MAX_BYTES - 27)))
    line = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert read_proxy_header(line).size == 107
    with pytest.raises(NoProxyHeaderError):
        read_proxy_header(line.replace(b"\r", b"x\r"))


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21"]), st.binary(max_size=200)
)
def test_no_bytes_whatever_raise_anything_else(start, data):
    try:
        found = read_proxy_header(start + data)
    except NoProxyHeaderError:
        return
    if found is not None:
        assert 0 < found.size <= len(start + data)
        assert found.client == "" or ipaddress.ip_address(found.client)


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_every_address_is_read_as_it_was_written(address, port):
    plain = getattr(address, "ipv4_mapped", None) or address
    words = f"PROXY TCP{address.version} {address} {address} {port} 1\r\n".encode()
    assert read_proxy_header(words).client == str(plain)
    assert read_proxy_header(
        second(str(address), family=0x11 if address.version == 4 else 0x21)
    ).client == str(plain)
