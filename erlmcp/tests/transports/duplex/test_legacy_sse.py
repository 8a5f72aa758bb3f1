"""What only HTTP+SSE has: two requests that make one channel, perhaps in two workers."""

import json

import pytest
from fastmcp import Client as FastClient
from fastmcp.client.transports import SSETransport
from mcp import Client
from mcp.client.sse import sse_client

from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.transports.legacy_sse import endpoint
from erlmcp.transports.legacy_sse.stream_ids import StreamIds

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()


async def status_of(served, request):
    client = await served.connect()
    await client.send(request)
    return (await client.reply()).status


@pytest.mark.behaviour("workers.sse-post-anywhere", transport="sse", era="handshake")
async def test_a_message_reaches_its_stream_through_any_worker(connect, serve, raw):
    bus = LocalBus()
    owner, other = await serve(bus=bus), await serve(bus=bus)
    client = await connect("sse", owner)
    await client.initialize()
    message = json.dumps(raw.handshake("tools/call", 2, name="add", arguments={"a": 1, "b": 2})).encode()
    assert await client.post_status(message, to=other) == 202
    assert (await client.receive())["result"]["content"][0]["text"] == "3"
    assert owner.outcomes("tools/call") == {"ok": 1}


@pytest.mark.behaviour("workers.sse-answer-anywhere", transport="sse", era="handshake")
async def test_an_answer_of_the_client_reaches_the_one_who_asked_through_any_worker(connect, serve, raw):
    bus = LocalBus()
    owner, other = await serve(bus=bus), await serve(bus=bus)
    client = await connect("sse", owner)
    await client.initialize(capabilities={"elicitation": {}})
    await client.send(raw.handshake("tools/call", 2, name="ask_name", arguments={}))
    question = await client.receive()
    result = {"action": "accept", "content": {"name": "Ada"}}
    answer = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode()
    assert await client.post_status(answer, to=other) == 202
    assert (await client.receive())["result"]["content"][0]["text"] == "Ada"


@pytest.mark.behaviour("sse.invented-id-is-unknown", transport="sse", era="handshake")
async def test_an_invented_id_is_unknown_at_once_and_a_closed_stream_soon(connect, serve, raw, monkeypatch):
    client = await connect("sse")
    base, _, stream_id = client.address.partition("=")
    asked = []
    monkeypatch.setattr(client.served.runtime._sse._bus, "publish", asked.append)
    altered = stream_id[:-1] + ("A" if stream_id[-1] != "A" else "B")
    for invented in ("", "x", altered, "é" * 48, "A" * 48):
        assert await client.post_status(PING, address=f"{base}={invented.encode().hex() or ''}") == 404
    assert await client.post_status(PING, address=f"{base}={altered}") == 404
    assert asked == [], "the other workers are not bothered"
    monkeypatch.undo()
    monkeypatch.setattr(endpoint, "OWNER_TIMEOUT_S", 0.1)
    await client.close()
    await raw.until(lambda: len(client.served.runtime.channels) == 0)
    assert await client.post_status(PING) == 404


@pytest.mark.behaviour("keys.sse-ids-outlive-rotation", transport="sse", era="handshake")
def test_ids_are_recognised_by_every_key_of_the_ring_and_by_no_other():
    old, new = KeyRing.generate(), KeyRing.generate()
    before, both, after = KeyRing([old]), KeyRing([new, old]), KeyRing([new])
    stream_id = StreamIds(before).new()
    assert StreamIds(both).is_ours(stream_id)
    assert not StreamIds(after).is_ours(stream_id)
    assert StreamIds(both).new() != StreamIds(both).new()


@pytest.mark.behaviour("era.sse-is-handshake-only", transport="sse", era="handshake")
async def test_modern_requests_are_refused_also_as_the_first(connect, raw):
    client = await connect("sse")
    answer = await client.call(raw.modern("tools/list", 1))
    assert (answer["error"]["code"], answer["id"]) == (-32600, 1)


@pytest.mark.behaviour("sse.wrong-requests", transport="sse", era="handshake")
async def test_what_is_no_request_of_this_transport_is_refused(connect, serve, raw):
    client = await connect("sse")
    host = b"Host: 127.0.0.1\r\n"
    served = client.served
    assert await client.post_status(PING, **{"Content-Type": "text/plain"}) == 415
    assert await client.post_status(PING, Origin="https://evil.example") == 403
    assert await status_of(served, b"GET /sse HTTP/1.1\r\nHost: evil.example\r\n\r\n") == 403
    assert await status_of(served, b"POST /sse HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n") == 405
    assert await status_of(served, b"GET /messages HTTP/1.1\r\n" + host + b"\r\n") == 405
    assert await status_of(served, b"OPTIONS /messages HTTP/1.1\r\n" + host + b"\r\n") == 204
    off = await serve(mcp={"sse_path": ""})
    assert await status_of(off, b"GET /sse HTTP/1.1\r\n" + host + b"\r\n") == 404
    full = await serve(mcp={"max_streams": 1})
    await connect("sse", full)
    assert await status_of(full, b"GET /sse HTTP/1.1\r\n" + host + b"\r\n") == 429


@pytest.mark.behaviour("drain.no-new-sse-stream", transport="sse", era="handshake")
async def test_while_draining_no_stream_is_opened(connect, serve):
    served = await serve()
    served.runtime.begin_drain()
    assert await status_of(served, b"GET /sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 503


@pytest.mark.behaviour("streams.quiet-sse-is-pinged", transport="sse", era="handshake")
async def test_a_quiet_stream_is_pinged(connect, serve):
    client = await connect("sse", await serve(mcp={"ping_interval_s": 0.1}))
    piece = await anext(client.stream.chunks())
    assert piece == b": ping\n\n"


@pytest.mark.behaviour("metrics.sse-streams", transport="sse", era="handshake")
async def test_an_open_stream_is_counted_until_it_ends(connect, raw):
    client = await connect("sse")
    assert client.served.runtime.counts().streams == 1
    await client.close()
    await raw.until(lambda: client.served.runtime.counts().streams == 0)


@pytest.mark.behaviour("clients.official-over-sse", transport="sse", era="handshake")
async def test_the_official_client_does_its_round(serve):
    served = await serve()
    url = served.url.replace("/mcp", "/sse")
    async with Client(sse_client(url), mode="legacy") as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"add", "ask_name"} <= names
        result = await client.call_tool("add", {"a": 1, "b": 2})
        assert result.content[0].text == "3"
        assert (await client.read_resource("note://one")).contents[0].text == "first"


async def test_the_client_of_fastmcp_does_its_round(serve):
    served = await serve()
    async with FastClient(SSETransport(served.url.replace("/mcp", "/sse"))) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
