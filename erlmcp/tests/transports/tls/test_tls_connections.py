"""TLS on real sockets: who gets through the handshake, who does not, and that it costs the others nothing."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from authority import Authority

from erlmcp.transports import accepting, tls
from erlmcp.transports.runtime import PRIVATE, TCP

pytestmark = pytest.mark.anyio
WAYS = ("tls",)
LIMIT_S = 20.0


async def plain(served, port=0):
    """A connection without TLS."""
    return await asyncio.open_connection("127.0.0.1", port or served.port)


async def rest(reader):
    """Everything until the server closes, and whether it closed rather than reset."""
    async with asyncio.timeout(LIMIT_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return None


async def serves(served):
    """A new client is served."""
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 2})
    return reply.status == 200


def highest_descriptor():
    return max(int(each.name) for each in Path("/proc/self/fd").iterdir())


def serial(client):
    """The serial number that the server showed to a client."""
    shown = client.writer.get_extra_info("ssl_object").getpeercert()
    return int(shown["serialNumber"], 16)


@pytest.fixture
def tcp_port(raw):
    """A function that lets a runtime listen for lines."""
    socks = []

    def listen(served, name=TCP):
        socks.append(raw.listening_socket())
        served.runtime.listen(socks[-1], name)
        return socks[-1].getsockname()[1]

    yield listen
    for sock in socks:
        sock.close()


# -- handshakes that do not come to an end --


@pytest.mark.parametrize(
    "sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "a byte", "half"]
)
async def test_a_client_that_does_not_finish_its_handshake_is_cut(serve, sent):
    served = await serve(tls={"handshake_timeout_s": 0.3})
    reader, writer = await plain(served)
    writer.write(sent)
    assert not await rest(reader)
    assert served.rejected("tls-timeout") == 1
    assert await serves(served)


async def test_the_time_of_a_handshake_does_not_begin_anew_with_each_byte(serve):
    served = await serve(tls={"handshake_timeout_s": 0.4})
    reader, writer = await plain(served)
    began = asyncio.get_running_loop().time()
    writer.write(b"\x16\x03\x01\x02\x00")
    reading = asyncio.ensure_future(rest(reader))
    while not reading.done():
        writer.write(b"\0")
        await asyncio.wait([reading], timeout=0.05)
    assert asyncio.get_running_loop().time() - began < 5
    assert served.rejected("tls-timeout") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\x05hello",
        b"\x80\x2e\x01\x00\x02",
        bytes(range(256)) * 8,
        b"\x15\x03\x01\x00\x02\x02\x28",
    ],
    ids=["no hello", "version 2", "noise", "alert"],
)
async def test_garbage_is_cut_and_costs_the_others_nothing(serve, sent):
    served = await serve()
    other = await served.connect()
    reader, writer = await plain(served)
    writer.write(sent)
    writer.write_eof()
    said = await rest(reader)
    assert not (said or b"").startswith(b"HTTP"), "no words for somebody who would not understand them"
    assert served.rejected("tls-handshake") + served.rejected("tls-plain") == 1
    await other.send(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await other.reply()).status == 404


async def test_a_client_that_only_looks_whether_the_port_is_open_is_no_offence(serve, raw):
    served = await serve()
    reader, writer = await plain(served)
    writer.write_eof()
    assert await rest(reader) == b""
    await raw.until(lambda: served.runtime.counts().connections == 0)
    assert not served.meter.snapshot()["rejected"]


async def test_handshakes_are_taken_up_to_their_limit_and_more_are_closed_at_once(serve, raw):
    served = await serve(tls={"max_handshakes": 2})
    held = [await plain(served), await plain(served)]
    await raw.until(lambda: served.runtime.counts().connections == 2)
    reader, _ = await plain(served)
    assert not await rest(reader)
    assert served.rejected("tls-handshakes") == 1
    held[0][1].close()
    await raw.until(lambda: served.runtime.counts().connections == 1)
    assert await serves(served)


async def test_open_connections_are_limited_as_without_tls(serve):
    served = await serve(http={"max_connections": 1})
    first = await served.connect()
    await first.send(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await first.reply()).status == 404
    assert not await asks(served, served.tls)
    assert served.rejected("connections") == 1


async def test_a_process_out_of_descriptors_accepts_again_when_it_has_some(serve, raw, monkeypatch, caplog):
    monkeypatch.setattr(accepting, "EXHAUSTED_PAUSE_S", 0.05)
    served = await serve()
    client = socket.socket()
    client.setblocking(False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    hogs = [os.dup(client.fileno())]
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest_descriptor() + 1, before[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                hogs.append(os.dup(client.fileno()))
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", served.port))
        await raw.until(lambda: "listener.cannot-accept" in caplog.text)
    finally:
        for hog in hogs:
            os.close(hog)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    await raw.until(lambda: served.runtime.counts().connections == 1)
    client.close()
    assert await serves(served)


# -- clients without TLS --


async def test_plain_http_is_told_so_and_closed_and_no_handler_sees_it(serve, raw):
    served = await serve()
    reader, writer = await plain(served)
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    writer.write(raw.post_bytes(message, headers=raw.modern_headers(message)))
    said = await rest(reader)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert body == b"this port speaks TLS only; use https:// or wss://\n"
    assert b"content-length: %d" % len(body) in head
    assert served.rejected("tls-plain") == 1
    assert not served.meter.snapshot()["requests"]


async def test_a_plain_client_that_sends_much_still_hears_why(serve):
    served = await serve()
    reader, writer = await plain(served)
    writer.write(b"POST /mcp HTTP/1.1\r\ncontent-length: 4000000\r\n\r\n" + b"x" * 4_000_000)
    said = await rest(reader)
    assert said is not None, "it was reset"
    assert said.startswith(b"HTTP/1.1 400 ")


async def test_a_plain_client_that_stays_is_closed_for(serve, raw, monkeypatch):
    monkeypatch.setattr(tls, "LINGER_S", 0.2)
    served = await serve()
    _, writer = await plain(served)
    writer.write(b"GET / HTTP/1.1\r\n")
    await raw.until(lambda: served.rejected("tls-plain") == 1)
    await raw.until(lambda: served.runtime.counts().connections == 0)
    writer.close()


async def test_plain_lines_are_told_so_as_json(serve, tcp_port):
    served = await serve()
    reader, writer = await plain(served, tcp_port(served))
    writer.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    said = await rest(reader)
    assert said.endswith(b'"error":{"code":-32600,"message":"Invalid request: this port speaks TLS only"}}\n')


async def test_the_private_listener_speaks_no_tls_and_all_others_do(serve, tcp_port):
    served = await serve(mcp={"allowed_hosts": ("mcp.example.com",)})
    reader, writer = await plain(served, tcp_port(served, PRIVATE))
    writer.write(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    said = await rest(reader)
    assert said.startswith(b"HTTP/1.1 404 ")
    assert b"strict-transport-security" not in said
    reader, writer = await plain(served, tcp_port(served, "whatever comes later"))
    writer.write(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await rest(reader)).startswith(b"HTTP/1.1 400 ")


# -- what is agreed on --


@pytest.mark.parametrize(
    ("offered", "agreed"), [(["h2", "http/1.1"], "http/1.1"), (["h2"], None), ([], None)], ids=str
)
async def test_http_1_1_is_agreed_on_by_alpn_and_clients_without_it_are_served(serve, offered, agreed):
    served = await serve()
    if offered:
        served.tls.set_alpn_protocols(offered)
    client = await served.connect()
    assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
    assert await serves(served)


async def test_a_client_that_is_older_than_the_minimum_is_refused(serve):
    served = await serve(tls={"minimum": "1.3"})
    served.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await served.connect()
    assert served.rejected("tls-handshake") == 1


async def test_a_name_that_the_certificate_does_not_have_is_for_the_client_to_refuse(serve):
    served = await serve()
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        await asyncio.open_connection(
            "127.0.0.1", served.port, ssl=served.tls, server_hostname="other.example"
        )


# -- mutual TLS --


@pytest.fixture
def client_of(tmp_path, authority):
    """A function that makes a client's side of TLS with a certificate of an authority, or with none."""

    def make(signer=None, **issue):
        own = signer.issue(names=("a client",), **issue) if signer is not None else None
        return authority.client_context(own, tmp_path)

    return make


async def asks(served, context, port=0):
    """Whether a client gets as far as an answer: in TLS 1.3 it is through before the server has judged it."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port or served.port, ssl=context)
        writer.write(
            b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
            if port
            else b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )
        async with asyncio.timeout(LIMIT_S):
            return bool(await reader.read(1))
    except (ssl.SSLError, ConnectionError):
        return False


async def test_only_clients_of_the_authorities_are_let_in_on_http_and_tcp(serve, issued, client_of, tcp_port):
    ours, strangers = Authority("ours"), Authority("strangers")
    served = await serve(identity=issued.identity(ours.pem))
    assert await asks(served, client_of(ours))
    lines = tcp_port(served)
    assert await asks(served, client_of(ours), lines)
    bad = {
        "none": client_of(),
        "of strangers": client_of(strangers),
        "expired": client_of(ours, valid_from=timedelta(days=-3), valid_for=timedelta(days=1)),
        "not yet valid": client_of(ours, valid_from=timedelta(days=1)),
    }
    for what, context in bad.items():
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.maximum_version = version
            assert not await asks(served, context), what
            assert not await asks(served, context, lines), what
    assert served.rejected("tls-handshake") == 16
    assert [row[0] for row in served.meter.snapshot()["requests"]] == ["ping"], "that of the good client"


async def test_a_client_that_was_let_in_once_cannot_resume_past_new_authorities(serve, issued, client_of):
    old, new = Authority("old"), Authority("new")
    served = await serve(identity=issued.identity(old.pem))
    context = client_of(old)

    def visit(session=None):
        sock = socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S)
        with context.wrap_socket(sock, server_hostname="localhost", session=session) as inside:
            inside.sendall(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = inside.recv(100)
            return inside.session, inside.session_reused, answer

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        served.runtime.renew_identity(issued.identity(old.pem))
        context.maximum_version = version
        session, _, answer = await asyncio.to_thread(visit)
        _, reused, _ = await asyncio.to_thread(visit, session)
        assert (reused, answer[:12]) == (True, b"HTTP/1.1 404"), "otherwise this test proves nothing"
        served.runtime.renew_identity(issued.identity(new.pem))
        with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
            await asyncio.to_thread(visit, session)


# -- renewal --


async def test_new_clients_see_the_renewed_certificate_and_old_ones_notice_nothing(serve, authority, issued):
    served = await serve()
    before = await served.connect()
    renewed = authority.issue()
    served.runtime.renew_identity(renewed.identity())
    after = await served.connect()
    assert (serial(before), serial(after)) == (issued.serial, renewed.serial)
    for client in (before, after):
        await client.send(b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await client.reply()).status == 404


async def test_what_openssl_refuses_leaves_the_old_in_force(serve, authority, issued):
    served = await serve()
    with pytest.raises(ssl.SSLError):
        served.runtime.renew_identity(type(issued)(authority.issue().chain, issued.key).identity())
    assert serial(await served.connect()) == issued.serial


async def test_a_server_without_tls_does_not_begin_to_speak_it(serve, issued):
    served = await serve(identity=None)
    with pytest.raises(ValueError, match="without TLS"):
        served.runtime.renew_identity(issued.identity())


async def test_a_banned_client_is_not_even_given_a_handshake(serve):
    served = await serve(
        limits={"ban_after": 1, "ban_window_s": 1_000, "loopback": True}, tls={"handshake_timeout_s": 1_000}
    )
    for _ in range(2):
        served.runtime._service.bans.offended("127.0.0.1", "malformed")
    reader, writer = await plain(served)
    assert await rest(reader) == b"", "closed before it has sent a byte"
    writer.transport.abort()
