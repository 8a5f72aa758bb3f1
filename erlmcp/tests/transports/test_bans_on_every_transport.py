"""A flood of bad tokens or malformed requests, by whatever way it comes, ends with the address shut out."""

import asyncio
import json
import ssl

import pytest
import websockets.asyncio.client as websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from erlmcp.edge.auth.static_tokens import new_token
from erlmcp.transports.runtime import TCP

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

ALLOWED = 3
LIMITS = {"ban_after": ALLOWED, "ban_window_s": 1_000, "ban_s": 60, "loopback": True}
KINDS = ["json", "batch", "http", "token", "tcp", "tcp-token", "websocket", "websocket-binary", "sse"]
LIMIT_S = 20.0


class Attacker:
    """Sends offences of one kind, each on a connection of its own."""

    def __init__(self, kind, served, raw):
        self.kind = kind
        self.served = served
        self._raw = raw

    async def offend(self):
        """One offence, and what the server says to it."""
        await getattr(self, "_" + self.kind.partition("-")[0])()

    async def _post(self, body, **headers):
        client = await self.served.connect()
        fields = {"host": "127.0.0.1", "content-type": "application/json", "content-length": len(body)}
        fields |= {"accept": "application/json, text/event-stream", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await client.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        return (await client.reply()).status

    async def _json(self):
        assert await self._post(b"{nonsense") == 400

    async def _batch(self):
        assert await self._post(b"[nonsense") == 400

    async def _http(self):
        client = await self.served.connect()
        await client.send(b"NONSENSE\r\n\r\n")
        assert (await client.reply()).status == 400

    async def _token(self):
        assert await self._post(b"{}", authorization="Bearer guessed") == 401

    async def _tcp(self):
        reader, writer = await connect_tcp(self.served, self._raw)
        first = {"authorization": "Bearer guessed"} if self.kind == "tcp-token" else "nonsense"
        writer.write(json.dumps(first).encode() + b"\n")
        async with asyncio.timeout(LIMIT_S):
            assert b'"error"' in await reader.readline()
        writer.transport.abort()

    async def _websocket(self):
        scheme = "wss" if self.served.tls else "ws"
        connection = await websockets.connect(
            f"{scheme}://127.0.0.1:{self.served.port}/ws",
            ssl=self.served.tls,
            subprotocols=["mcp"],
            proxy=None,
        )
        await connection.send(b"nonsense", text=self.kind == "websocket")
        async with asyncio.timeout(LIMIT_S):
            try:
                assert "error" in await connection.recv()
            except ConnectionClosed:
                assert self.kind == "websocket-binary"
        connection.transport.abort()

    async def _sse(self):
        stream = await self.served.connect()
        await stream.send(b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await stream.head()
        pieces = stream.chunks()
        address = (await anext(pieces)).decode().partition("data: ")[2].strip()
        poster = await self.served.connect()
        fields = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 8\r\n"
        await poster.send(f"POST {address} HTTP/1.1\r\n{fields}\r\nnonsense".encode())
        await anext(pieces)
        stream.close()


async def connect_tcp(served, raw):
    if not hasattr(served, "tcp_sock"):
        served.tcp_sock = raw.listening_socket()
        served.runtime.listen(served.tcp_sock, TCP)
    return await asyncio.open_connection("127.0.0.1", served.tcp_sock.getsockname()[1], ssl=served.tls)


async def is_served(served, raw, source="127.0.0.1"):
    """Whether an address gets an answer, be it that a token is needed."""
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", served.port, ssl=served.tls, local_addr=(source, 0)
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = await reader.readline()
    except (ConnectionError, ssl.SSLError):
        return False
    writer.transport.abort()
    return bool(head)


@pytest.fixture
async def attacked(serve, raw, tmp_path, request):
    """Starts a server, and somebody who attacks it."""

    async def start(kind, http=None, **limits):
        auth = {}
        if "token" in kind:
            file = tmp_path / "tokens"
            file.touch(mode=0o600)
            file.write_text(new_token("alice", ())[1])
            auth = {"tokens_file": str(file)}
        return Attacker(kind, await serve(limits={**LIMITS, **limits}, auth=auth, http=http), raw)

    return start


@pytest.mark.parametrize("kind", KINDS)
async def test_one_offence_too_many_shuts_the_address_out_for_its_time_and_nobody_else(attacked, raw, kind):
    attacker = await attacked(kind)
    served = attacker.served
    for _ in range(ALLOWED):
        await attacker.offend()
    assert served.rejected("ban") == 0
    assert await is_served(served, raw)
    await attacker.offend()
    await raw.until(lambda: served.rejected("ban") == 1)
    assert not await is_served(served, raw)
    assert served.rejected("banned") >= 1
    assert await is_served(served, raw, "127.0.0.2")
    bans = served.runtime._service.bans
    bans._clock = lambda: asyncio.get_running_loop().time() + LIMITS["ban_s"]
    assert await is_served(served, raw)


@pytest.mark.parametrize("kind", ["json", "tcp"])
async def test_connections_that_the_address_holds_are_closed(attacked, raw, kind):
    attacker = await attacked(kind)
    idle = await attacker.served.connect()
    await idle.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await idle.reply()).status == 404
    reader, writer = await connect_tcp(attacker.served, raw)
    writer.write(json.dumps(raw.modern("tools/list")).encode() + b"\n")
    assert b'"result"' in await reader.readline()
    for _ in range(ALLOWED + 1):
        await attacker.offend()
    assert await idle.rest() == b""
    async with asyncio.timeout(LIMIT_S):
        assert await reader.read() == b""
    writer.transport.abort()


async def test_who_has_no_token_yet_is_no_offender(attacked, raw):
    attacker = await attacked("token")
    for _ in range(ALLOWED + 5):
        assert await attacker._post(b"{}") == 401
    assert await is_served(attacker.served, raw)


async def test_a_refused_request_that_a_proper_client_may_send_is_no_offence(attacked, raw):
    attacker = await attacked("json")
    for _ in range(ALLOWED + 5):
        assert await attacker._post(json.dumps(raw.handshake("ping")).encode()) == 400, "no session"
        assert await attacker._post(b"{}", host="evil.example.com") == 403
    assert await is_served(attacker.served, raw)


async def test_a_good_client_that_keeps_its_connection_is_not_asked_again(attacked, raw):
    """Nothing is looked up for a request: the cost of bans is that of accepting a connection."""
    attacker = await attacked("json", loopback=False)
    client = await attacker.served.connect()
    for _ in range(ALLOWED + 5):
        await attacker.offend()
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    assert (await client.call(message, headers=raw.modern_headers(message))).status == 200


async def test_a_banned_client_cannot_upgrade_to_a_websocket(attacked, raw):
    attacker = await attacked("json")
    for _ in range(ALLOWED + 1):
        await attacker.offend()
    await raw.until(lambda: attacker.served.rejected("ban") == 1)
    with pytest.raises((OSError, InvalidHandshake, ConnectionClosed, EOFError)):
        await Attacker("websocket", attacker.served, raw).offend()


BEHIND = {"trusted_proxies": ("127.0.0.1",)}


async def through_proxy(served, raw, client, method="tools/call", *, on=None):
    """The answer to a request that a proxy brings for a client."""
    message = raw.modern(
        method, **({"name": "add", "arguments": {"a": 1, "b": 2}} if "call" in method else {})
    )
    connection = on or await served.connect()
    return await connection.call(message, headers={**raw.modern_headers(message), "x-forwarded-for": client})


async def test_behind_a_proxy_the_client_is_shut_out_and_not_the_proxy_nor_its_other_clients(attacked, raw):
    attacker = await attacked("json", http=BEHIND)
    served = attacker.served
    kept = await served.connect()
    for _ in range(3):  # the head is known from now on
        assert (await through_proxy(served, raw, "192.0.2.7", on=kept)).status == 200
    for _ in range(ALLOWED + 1):
        await attacker._post(b"{nonsense", **{"x-forwarded-for": "192.0.2.7"})
    await raw.until(lambda: served.rejected("ban") == 1)
    assert (await through_proxy(served, raw, "192.0.2.7", on=kept)).status == 403
    assert (await through_proxy(served, raw, "192.0.2.7", "tools/list")).status == 403
    for _ in range(3):
        assert (await through_proxy(served, raw, "192.0.2.8")).status == 200
    assert served.rejected("banned") == 2


async def test_behind_a_proxy_each_client_has_its_own_rate_however_often_its_head_was_read(serve, raw):
    served = await serve(limits={"requests_per_s": 0.001, "burst": 3}, http=BEHIND)
    kept = await served.connect()
    for number in range(5):
        for client in ("192.0.2.7", "192.0.2.8"):
            reply = await through_proxy(served, raw, client, on=kept)
            assert reply.status == (200 if number < 3 else 429)


async def test_nobody_else_can_say_whom_he_speaks_for(serve, raw):
    served = await serve(
        limits={"requests_per_s": 0.001, "burst": 3}, http={"trusted_proxies": ("10.0.0.1",)}
    )
    kept = await served.connect()
    statuses = [(await through_proxy(served, raw, f"192.0.2.{n}", on=kept)).status for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
