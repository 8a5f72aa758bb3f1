"""HTTP inside TLS where it differs from HTTP without: HSTS, the scheme, and how a connection ends."""

import asyncio
import socket
import ssl

import pytest

pytestmark = pytest.mark.anyio
WAYS = ("tls",)
LIMIT_S = 20.0
NAMED = {"allowed_hosts": ("mcp.example.com",)}
HSTS = "strict-transport-security"


@pytest.fixture
def echo(tmp_path):
    """A guest that says what it is told."""
    guest = tmp_path / "tls_echo.py"
    guest.write_text(
        "from mcp.server import MCPServer\n"
        "server = MCPServer('echo')\n"
        "@server.tool()\n"
        "def echo(text: str) -> str:\n"
        "    return text\n"
    )
    return str(guest)


def connections(served):
    return list(served.runtime._http._connections)


async def test_every_answer_says_hsts_once_a_public_name_is_declared(serve, raw):
    served = await serve(mcp=NAMED, http={"max_body_bytes": 1000})
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    call = raw.post_bytes(message, headers=raw.modern_headers(message))
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: mcp\r\n\r\n"
    )
    asked = {
        "the first of its kind": (call, 200),
        "a known one": (call, 200),
        "not there": (b"GET /none HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        "for another host": (b"GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        "a stream": (b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n", 200),
        "no HTTP": (b"\xff\xfe\r\n\r\n", 400),
        "too large": (b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1001\r\n\r\n", 413),
        "a socket": (upgrade, 101),
    }
    client = await served.connect()
    for what, (sent, status) in asked.items():
        if what != "a known one":
            client = await served.connect()
        await client.send(sent)
        reply = await (client.reply() if status == 200 and sent is call else client.head())
        assert (reply.status, reply.headers.get(HSTS)) == (status, "max-age=31536000"), what


@pytest.mark.parametrize(
    ("mcp", "tls"), [({}, {}), (NAMED, {"hsts_max_age_s": 0})], ids=["no public name", "switched off"]
)
async def test_no_answer_says_hsts(serve, mcp, tls):
    served = await serve(mcp=mcp, tls=tls)
    reply = await served.modern_call("tools/call", name="add", arguments={"a": 1, "b": 2})
    assert (reply.status, HSTS in reply.headers) == (200, False)


async def test_a_route_of_the_guest_sees_https(serve, tmp_path):
    guest = tmp_path / "tls_routes.py"
    guest.write_text(
        "from mcp.server import MCPServer\n"
        "from starlette.responses import PlainTextResponse\n"
        "server = MCPServer('routes')\n"
        "@server.custom_route('/scheme', methods=['GET'])\n"
        "async def scheme(request):\n"
        "    return PlainTextResponse(str(request.url.scheme))\n"
    )
    seen = []
    for identity in ({}, {"identity": None}):
        served = await serve(str(guest), **identity)
        client = await served.connect()
        await client.send(b"GET /scheme HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        seen.append((await client.reply()).body)
    assert seen == [b"https", b"http"]


async def test_the_end_of_a_stream_is_said_with_a_goodbye(serve):
    """Without it, a client cannot tell the end from somebody who cuts the connection (RFC 8446, 6.1)."""
    served = await serve()

    def read_to_the_end():
        sock = socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S)
        options = {"server_hostname": "localhost", "suppress_ragged_eofs": False}
        with served.tls.wrap_socket(sock, **options) as inside:
            inside.sendall(b"GET /none HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            said = b""
            while data := inside.recv(4096):
                said += data
            return said

    assert b"404" in await asyncio.to_thread(read_to_the_end)


async def test_a_client_that_answers_no_goodbye_does_not_keep_the_connection(serve, raw):
    served = await serve(http={"keep_alive_timeout_s": 0.3})
    served.runtime._http.time_limits_s["linger"] = 0.1
    sock = await asyncio.to_thread(_shaken, served)
    await raw.until(lambda: served.runtime.counts().connections == 1)
    await raw.until(lambda: served.runtime.counts().connections == 0)
    sock.detach()


async def test_an_answer_that_is_read_slowly_arrives_whole_though_the_connection_closes(serve, raw, echo):
    """It outlives the time for a goodbye, because the kernel says that bytes of it are unsent."""
    served = await serve(echo)
    served.runtime._http.time_limits_s["linger"] = 0.1
    sock = await asyncio.to_thread(_shaken, served, 4096)
    text = "x" * 3_000_000
    message = raw.modern("tools/call", name="echo", arguments={"text": text})
    headers = {**raw.modern_headers(message), "connection": "close"}
    await asyncio.to_thread(sock.sendall, raw.post_bytes(message, headers=headers))
    await raw.until(lambda: [each.deadline.name for each in connections(served)] == ["flush"])

    def read():
        said = b""
        while data := sock.recv(65_536):
            said += data
        return said

    said = await asyncio.to_thread(read)
    assert text.encode() in said
    sock.close()
    await raw.until(lambda: served.runtime.counts().connections == 0)


async def test_a_client_that_reads_nothing_of_a_closing_answer_is_cut(serve, raw, echo):
    served = await serve(echo, http={"keep_alive_timeout_s": 0.5})
    served.runtime._http.time_limits_s["linger"] = 0.1
    sock = await asyncio.to_thread(_shaken, served, 4096)
    message = raw.modern("tools/call", name="echo", arguments={"text": "x" * 3_000_000})
    headers = {**raw.modern_headers(message), "connection": "close"}
    await asyncio.to_thread(sock.sendall, raw.post_bytes(message, headers=headers))
    await raw.until(lambda: served.runtime.counts().connections == 1)
    await raw.until(lambda: served.runtime.counts().connections == 0)
    sock.close()


def _shaken(served, receive_buffer=0):
    """A blocking client that is through its handshake and does nothing by itself any more."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(LIMIT_S)
    sock.connect(("127.0.0.1", served.port))
    served.tls.maximum_version = ssl.TLSVersion.TLSv1_3
    return served.tls.wrap_socket(sock, server_hostname="localhost")
