"""What only WebSocket has: the upgrade, frames, close codes, pings."""

import asyncio
import json

import pytest
import websockets.asyncio.client as websockets
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from erlmcp.transports.websocket.wire import text_frame

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

UPGRADE = {
    "Host": "127.0.0.1",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "mcp",
}


def upgrade_bytes(path="/ws", method="GET", **changes):
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1")


async def close_code(client):
    async with asyncio.timeout(20):
        while await client.read():
            pass
    return client.connection.close_code


@pytest.mark.behaviour("websocket.subprotocol", transport="websocket", era="any")
async def test_the_upgrade_agrees_on_mcp_and_no_compression(serve):
    served = await serve()
    url = f"{'wss' if served.tls else 'ws'}://127.0.0.1:{served.port}/ws"
    options = {"subprotocols": ["other", "mcp"], "proxy": None, "ssl": served.tls}
    async with websockets.connect(url, **options) as connection:
        assert connection.subprotocol == "mcp"
        assert connection.protocol.extensions == [], "deflate was offered"
        assert served.runtime.counts().connections == 1


@pytest.mark.behaviour("websocket.refused-before-the-upgrade", transport="websocket", era="any")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Sec_WebSocket_Protocol": None}, 400),
        ({"Sec_WebSocket_Protocol": "other"}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 400),
        ({"Connection": "keep-alive", "Upgrade": None}, 426),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
async def test_what_must_not_be_upgraded_is_refused_before(serve, changes, status):
    client = await (await serve()).connect()
    await client.send(upgrade_bytes(**changes))
    assert (await client.reply()).status == status


@pytest.mark.behaviour("websocket.only-its-path", transport="websocket", era="any")
async def test_an_upgrade_of_any_other_path_or_method_is_not_one(serve):
    served = await serve()
    for request, status in ((upgrade_bytes("/other"), 404), (upgrade_bytes(method="POST"), 405)):
        client = await served.connect()
        await client.send(request)
        assert (await client.reply()).status == status


@pytest.mark.behaviour("websocket.allowed-origin", transport="websocket", era="any")
async def test_an_allowed_origin_is_upgraded_and_the_path_can_be_switched_off(serve):
    served = await serve(mcp={"allowed_origins": ["https://app.example"]})
    client = await served.connect()
    await client.send(upgrade_bytes(Origin="https://app.example"))
    assert (await client.head()).status == 101
    client = await (await serve(mcp={"websocket_path": ""})).connect()
    await client.send(upgrade_bytes())
    assert (await client.reply()).status == 404


@pytest.mark.behaviour("websocket.early-frames", transport="websocket", era="any")
async def test_frames_sent_together_with_the_upgrade_are_read(serve, raw):
    served = await serve()
    client = await served.connect()
    text = json.dumps(raw.handshake("ping", 1)).encode()
    frame = Frame(Opcode.TEXT, text).serialize(mask=True)
    await client.send(upgrade_bytes() + frame)
    assert (await client.head()).status == 101
    client.writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
    assert b'"result":{}' in await client.rest()


@pytest.mark.behaviour("websocket.after-a-pipelined-request", transport="websocket", era="any")
async def test_a_pipelined_request_before_the_upgrade_is_answered_first(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/list")
    await client.send(raw.post_bytes(message, headers=raw.modern_headers(message)) + upgrade_bytes())
    assert (await client.reply()).status == 200
    assert (await client.head()).status == 101


@pytest.mark.behaviour("websocket.fragments", transport="websocket", era="any")
async def test_a_message_in_fragments_with_a_ping_between_is_one_message(connect, raw):
    client = await connect("websocket")
    text = json.dumps(raw.handshake("ping", 1))
    await client.connection.send([text[:5], text[5:9], "", text[9:]])
    assert (await client.receive())["result"] == {}
    await asyncio.wait_for(await client.connection.ping(), 10)


@pytest.mark.behaviour("websocket.close-codes", transport="websocket", era="any")
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.BINARY, b"{}"), 1003),
        (Frame(Opcode.TEXT, b'"\xff"'), 1007),
        (Frame(Opcode.TEXT, b"x" * 5000), 1009),
        (Frame(Opcode.CONT, b"x"), 1002),
    ],
)
async def test_frames_that_break_the_rules_close_with_their_code(connect, serve, raw, frame, code):
    client = await connect("websocket", await serve(http={"max_body_bytes": 4096}))
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    client.connection.transport.write(frame.serialize(mask=True))
    assert await close_code(client) == code
    assert client.served.rejected(f"websocket-{code}") == 1
    await raw.until(lambda: client.served.runtime.counts().connections == 0)


@pytest.mark.behaviour("limits.websocket-fragments", transport="websocket", era="any")
async def test_fragments_count_together_against_the_limit(connect, serve):
    client = await connect("websocket", await serve(http={"max_body_bytes": 4096}))
    for _ in range(5):
        client.connection.transport.write(
            Frame(Opcode.TEXT if not _ else Opcode.CONT, b"x" * 1000, fin=False).serialize(mask=True)
        )
    assert await close_code(client) == 1009


GOODBYE = Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=True)
RESERVED_BIT = b"\xc1\x81\0\0\0\0x"


@pytest.mark.parametrize(("last", "code"), [(GOODBYE, 1000), (RESERVED_BIT, 1002)], ids=["goodbye", "broken"])
async def test_what_came_in_one_read_with_a_goodbye_or_a_broken_rule_is_taken(
    connect, serve, raw, last, code
):
    served = await serve()
    client = await connect("websocket", served)
    await client.initialize()
    request = Frame(Opcode.TEXT, json.dumps(raw.handshake("ping", 1)).encode()).serialize(mask=True)
    client.connection.transport.write(request + last)
    await raw.until(lambda: served.outcomes("ping"), "the request before it was served")
    assert await close_code(client) == code


async def test_a_message_that_trickles_in_is_given_up_and_other_clients_stay(connect, serve, raw):
    served = await serve(http={"body_timeout_s": 0.2})
    slow, other = await connect("websocket", served), await connect("websocket", served)
    for client in (slow, other):
        assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    trickle = Frame(Opcode.TEXT, b"x" * 100).serialize(mask=True)
    for start in range(2):
        slow.connection.transport.write(trickle[start : start + 1])
        await asyncio.sleep(0.05)  # in two reads: bytes that complete no frame
    assert await close_code(slow) == 1008
    assert served.rejected("websocket-1008") == 1
    assert (await other.call(raw.handshake("ping", 2)))["result"] == {}


@pytest.mark.behaviour("drain.websocket-goes-away", transport="websocket", era="any")
async def test_at_a_drain_it_says_that_it_goes_away(connect, raw):
    client = await connect("websocket")
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    client.served.runtime.begin_drain()
    assert await close_code(client) == 1001
    late = await client.served.connect()
    await late.send(upgrade_bytes())
    reply = await late.reply()
    assert (reply.status, "retry-after" in reply.headers) == (503, True)


@pytest.mark.behaviour("websocket.goodbye", transport="websocket", era="any")
async def test_a_client_that_says_goodbye_is_answered_in_kind(connect, raw):
    client = await connect("websocket")
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    await client.connection.close(1000)
    assert client.connection.close_code == 1000
    await raw.until(lambda: client.served.runtime.counts().connections == 0)


@pytest.mark.behaviour("timeouts.websocket-ping", transport="websocket", era="any")
async def test_a_quiet_client_that_answers_pings_stays_and_one_that_does_not_is_cut(connect, serve, raw):
    served = await serve(mcp={"ping_interval_s": 0.2})
    alive, dead = await connect("websocket", served), await connect("websocket", served)
    for client in (alive, dead):
        assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    dead.connection.transport.pause_reading()
    await raw.until(lambda: served.rejected("ping-timeout") == 1)
    assert (await alive.call(raw.handshake("ping", 2)))["result"] == {}


async def test_a_handler_sees_the_upgrade_request(connect, raw):
    client = await connect("websocket")
    await client.initialize()
    answer = await client.call(raw.handshake("tools/call", 1, name="header", arguments={"name": "upgrade"}))
    assert answer["result"]["content"][0]["text"] == "websocket"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
async def test_a_client_reads_each_message_whole_whatever_its_size(size):
    client = ClientProtocol(parse_uri("ws://host/"), state=OPEN)
    client.receive_data(text_frame(b"x" * size) * 2)
    frames = client.events_received()
    assert [(frame.opcode, frame.fin, frame.data) for frame in frames] == [
        (Opcode.TEXT, True, b"x" * size)
    ] * 2
