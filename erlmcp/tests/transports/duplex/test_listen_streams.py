"""A listen stream that has left its handler says the same as one whose handler stays, on every transport."""

import asyncio
import json

import pytest

from erlmcp.dispatch import sdk_private

pytestmark = pytest.mark.anyio

LISTEN = "subscriptions/listen"
WANTED = {"toolsListChanged": True, "promptsListChanged": False, "resourceSubscriptions": ["note://one"]}
TRANSPORTS = pytest.mark.parametrize("transport", ["http", "tcp", "stdio", "websocket"])


class HttpClient:
    """A listen stream over HTTP in the shape of a channel's client."""

    def __init__(self, served, client, raw):
        self.served, self._client, self._raw = served, client, raw
        self._events = None

    async def send(self, message):
        await self._client.post(message, headers=self._raw.modern_headers(message))

    async def receive(self):
        if self._events is None:
            assert (await self._client.head()).status == 200
            self._events = self._client.events()
        return await anext(self._events)

    async def rest(self):
        return [message async for message in self._events]

    async def close(self):
        self._client.close()


@pytest.fixture
def listener(connect, serve, raw):
    """A function that connects a client which can listen."""

    async def open_listener(transport, served=None):
        if transport != "http":
            return await connect(transport, served)
        served = served or await serve()
        return HttpClient(served, await served.connect(), raw)

    return open_listener


def streams_of(client):
    return client.served.runtime._guest._listen._streams


async def all_of_a_stream(client, raw, request_id):
    """What a stream says from its acknowledgement over some changes to its end at a drain."""
    await client.send(raw.modern(LISTEN, request_id, notifications=WANTED))
    said = [await client.receive()]
    for uri in ("note://other", "note://one"):
        call = await client.served.modern_call("tools/call", name="change", arguments={"uri": uri})
        assert call.status == 200
    said += [await client.receive() for _ in range(3)]
    client.served.runtime.begin_drain()
    said += await client.rest()
    client.served.runtime.resume()
    return said


@TRANSPORTS
async def test_it_says_the_same_as_a_handler_that_stays(listener, raw, monkeypatch, transport):
    first = await listener(transport)
    left = await all_of_a_stream(first, raw, "é")
    monkeypatch.setattr(sdk_private, "is_unobserved", lambda _: False)
    stays = await all_of_a_stream(await listener(transport), raw, "é")
    assert [json.dumps(each) for each in left] == [json.dumps(each) for each in stays]
    assert left[0]["method"] == "notifications/subscriptions/acknowledged"
    assert left[-1]["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "é"


@TRANSPORTS
async def test_it_has_no_task_and_is_forgotten_with_its_client(listener, raw, monkeypatch, transport):
    client = await listener(transport)
    before = len(asyncio.all_tasks())
    await client.send(raw.modern(LISTEN, 1, notifications=WANTED))
    await client.receive()
    await raw.until(lambda: len(asyncio.all_tasks()) <= before)
    assert len(streams_of(client)) == 1
    assert client.served.runtime.counts().streams == 1
    await client.close()
    await raw.until(lambda: not streams_of(client))
    assert client.served.runtime.counts().streams == 0


@pytest.mark.parametrize("transport", ["tcp", "stdio", "websocket"])
async def test_it_can_be_cancelled_and_then_says_nothing_more(connect, raw, transport):
    client = await connect(transport)
    await client.send(raw.modern(LISTEN, 1, notifications=WANTED))
    await client.receive()
    await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    await raw.until(lambda: not streams_of(client))
    await client.send(raw.modern("tools/call", 2, name="change", arguments={"uri": "note://one"}))
    assert (await client.receive())["id"] == 2
    await client.send(raw.modern("tools/list", 3))
    assert (await client.receive())["id"] == 3


async def test_a_client_that_reads_nothing_of_it_is_cut(serve, raw):
    served = await serve(http={"max_stream_buffer_bytes": 1024})
    client = await served.connect()
    uri = "note://" + "x" * 2_000
    message = raw.modern(LISTEN, 1, notifications={"resourceSubscriptions": [uri]})
    await client.post(message, headers=raw.modern_headers(message))
    await client.head()
    [stream] = served.runtime._guest._listen._streams
    client.writer.transport.pause_reading()

    def more():
        for _ in range(200):
            stream.holder.say(b"x" * 20_000)
        return not served.runtime._guest._listen._streams

    await raw.until(more)


async def test_one_that_comes_while_the_worker_drains_is_acknowledged_and_ended(serve, raw):
    served = await serve()
    client = await served.connect()
    call = raw.modern("tools/list", 1)
    assert (await client.call(call, headers=raw.modern_headers(call))).status == 200
    served.runtime.begin_drain()
    message = raw.modern(LISTEN, 2, notifications=WANTED)
    await client.post(message, headers=raw.modern_headers(message))
    await client.head()
    acknowledged, ended = [event async for event in client.events()]
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert ended["id"] == 2
    assert not served.runtime._guest._listen._streams
