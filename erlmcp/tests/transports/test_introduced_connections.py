"""Connections that a proxy introduces, over plain and secured HTTP and TCP; HAProxy itself is one."""

import asyncio
import contextlib
import json
import socket
import ssl
from pathlib import Path

import pytest

from erlmcp.transports import introduced
from erlmcp.transports.runtime import PRIVATE, TCP

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")
LIMIT_S = 20.0
BEHIND = {"trusted_proxies": ("127.0.0.0/8",), "proxy_protocol": True}
ONE_EACH = {"requests_per_s": 0.001, "burst": 1}
HEADERS = {
    "version 1": "PROXY TCP4 {client} 127.0.0.1 50000 443\r\n".format,
    "version 2": lambda client: (
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
        + socket.inet_aton(client)
        + socket.inet_aton("127.0.0.1")
        + b"\xc3\x50\x01\xbb"
    ),
}


def header(kind, client):
    made = HEADERS[kind](client=client) if kind == "version 1" else HEADERS[kind](client)
    return made.encode() if isinstance(made, str) else made


async def opened(served, greeting, port=None, pieces=1):
    """A connection that a proxy has introduced, inside TLS where that is spoken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port or served.port)
    for start in range(0, len(greeting), -(-len(greeting) // pieces) or 1):
        writer.write(greeting[start : start + -(-len(greeting) // pieces)])
        await writer.drain()
        await asyncio.sleep(0)
    if served.tls:
        await writer.start_tls(served.tls, server_hostname="127.0.0.1")
    return reader, writer


async def ask(served, raw, greeting, pieces=1):
    """The status of a request on such a connection; 0 when it is closed without an answer."""
    writer = None
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await opened(served, greeting, pieces=pieces)
            message = raw.modern("tools/list")
            writer.write(raw.post_bytes(message, headers=raw.modern_headers(message)))
            line = await reader.readline()
    except (ConnectionError, ssl.SSLError):
        return 0
    finally:
        if writer is not None:
            writer.transport.abort()
    return int(line.split()[1]) if line else 0


@pytest.mark.parametrize("kind", HEADERS)
async def test_the_client_counts_by_the_address_that_the_proxy_tells(serve, raw, kind):
    served = await serve(http=BEHIND, limits=ONE_EACH)
    statuses = [
        await ask(served, raw, header(kind, client), pieces)
        for client, pieces in (("192.0.2.7", 1), ("192.0.2.7", 1), ("192.0.2.8", 3), ("192.0.2.8", 7))
    ]
    assert statuses == [200, 429, 200, 429]


async def test_a_proxy_that_speaks_for_itself_is_served(serve, raw):
    served = await serve(http=BEHIND)
    assert await ask(served, raw, b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00") == 200
    assert await ask(served, raw, b"PROXY UNKNOWN\r\n") == 200


@pytest.mark.parametrize("greeting", [b"", b"NONSENSE\r\n", b"PROXY TCP4 nonsense\r\n"])
async def test_who_says_no_header_is_closed(serve, raw, greeting):
    served = await serve(http={**BEHIND, "header_timeout_s": 0.3})
    assert await ask(served, raw, greeting) == 0
    assert served.rejected("proxy-header") == 1
    assert await ask(served, raw, header("version 1", "192.0.2.7")) == 200


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 192", b"\r\n\r\n\x00\r\nQUIT\n\x21"])
async def test_who_does_not_finish_its_header_is_closed_in_time(serve, begun):
    served = await serve(http={**BEHIND, "header_timeout_s": 0.2})
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(begun)
    async with asyncio.timeout(LIMIT_S):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.transport.abort()
    assert served.rejected("proxy-header") == 1


async def test_nobody_but_a_trusted_proxy_can_introduce_anybody(serve, raw):
    served = await serve(http={**BEHIND, "trusted_proxies": ("10.0.0.0/8",)})
    assert await ask(served, raw, header("version 1", "10.0.0.1")) == 0
    assert served.rejected("no-proxy") == 1


async def test_without_it_being_asked_for_a_header_is_no_request(serve, raw):
    served = await serve(http={"trusted_proxies": ("127.0.0.1",)})
    assert await ask(served, raw, header("version 1", "192.0.2.7")) in (0, 400)


async def test_more_than_may_wait_for_their_header_are_closed_at_once(serve, raw, monkeypatch):
    monkeypatch.setattr(introduced, "MAX_WAITING", 1)
    served = await serve(http=BEHIND)
    _, waiting = await asyncio.open_connection("127.0.0.1", served.port)
    await raw.until(lambda: served.runtime.counts().connections == 1)
    assert await ask(served, raw, header("version 1", "192.0.2.7")) == 0
    waiting.transport.abort()
    await raw.until(lambda: served.runtime.counts().connections == 0)
    assert await ask(served, raw, header("version 1", "192.0.2.7")) == 200


async def test_a_banned_client_is_closed_and_others_of_the_proxy_are_not(serve, raw):
    served = await serve(http=BEHIND, limits={"ban_after": 1, "ban_window_s": 1_000})
    for _ in range(2):
        reader, writer = await opened(served, header("version 1", "192.0.2.7"))
        writer.write(b"NONSENSE\r\n\r\n")
        async with asyncio.timeout(LIMIT_S):
            assert b" 400 " in await reader.readline()
        writer.transport.abort()
    await raw.until(lambda: served.rejected("ban") == 1)
    assert await ask(served, raw, header("version 1", "192.0.2.7")) == 0
    assert await ask(served, raw, header("version 1", "192.0.2.8")) == 200


async def test_over_tcp_it_is_the_same(serve, raw):
    served = await serve(http=BEHIND, limits=ONE_EACH)
    sock = raw.listening_socket()
    served.runtime.listen(sock, TCP)
    answers = []
    for client in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        reader, writer = await opened(served, header("version 2", client), sock.getsockname()[1])
        writer.write(json.dumps(raw.modern("tools/list")).encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            answers.append("result" in json.loads(await reader.readline()))
        writer.transport.abort()
    assert answers == [True, False, True]
    sock.close()


async def test_the_private_listener_takes_whoever_is_on_this_machine(serve, raw):
    served = await serve(http=BEHIND)
    sock = raw.listening_socket()
    served.runtime.listen(sock, PRIVATE)
    message = raw.modern("tools/list")
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    writer.write(raw.post_bytes(message, headers=raw.modern_headers(message)))
    async with asyncio.timeout(LIMIT_S):
        assert b" 200 " in await reader.readline()
    writer.transport.abort()
    sock.close()


HAPROXY = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend in
    bind 127.0.0.1:{port}
    default_backend out
backend out
    server one 127.0.0.1:{to} {how}
"""


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
async def test_haproxy_itself_introduces_its_clients(serve, raw, tmp_path, program, how):
    """A client from another address of this machine comes through HAProxy, and counts by that address."""
    haproxy = program("haproxy", "haproxy", beside=Path("/usr/sbin/haproxy"))
    served = await serve(http={**BEHIND, "trusted_proxies": ("127.0.0.1",)}, limits=ONE_EACH)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.format(port=port, to=served.port, how=how))
    proxy = await asyncio.create_subprocess_exec(haproxy, "-db", "-f", str(file))
    try:
        message = raw.modern("tools/list")
        lines = []
        for source in ("127.0.0.3", "127.0.0.3", "127.0.0.4"):
            reader, writer = await _connect(port, source, served.tls)
            writer.write(raw.post_bytes(message, headers=raw.modern_headers(message)))
            async with asyncio.timeout(LIMIT_S):
                lines.append(int((await reader.readline()).split()[1]))
            writer.transport.abort()
        assert lines == [200, 429, 200]
    finally:
        proxy.terminate()
        await proxy.wait()


async def _connect(port, source, tls):
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=(source, 0))
            except OSError:
                await asyncio.sleep(0.05)
