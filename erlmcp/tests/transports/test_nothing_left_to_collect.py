"""What has ended is given back at once: nothing of a connection or a call waits for the garbage collector.

A server whose clients come and go makes no garbage then, however many hold on meanwhile; and to look through
all that these hold is what stops a server for tenths of a second.
"""

import pytest

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")


class Ways:
    """Ways in which a connection ends."""

    def __init__(self, served, raw):
        self._served = served
        self._raw = raw

    async def never_asks(self):
        return await self._served.connect()

    async def asks_once(self):
        client = await self._served.connect()
        message = self._raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
        assert (await client.call(message, headers=self._raw.modern_headers(message))).status == 200
        return client

    async def begins_a_head(self):
        client = await self._served.connect()
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ")
        return client

    async def begins_a_body(self):
        client = await self._served.connect()
        message = self._raw.modern("tools/list")
        await client.send(self._raw.post_bytes(message, headers=self._raw.modern_headers(message))[:-5])
        return client

    async def is_refused(self):
        client = await self._served.connect()
        await client.send(b"NONSENSE\r\n\r\n")
        assert (await client.reply()).status == 400
        return client

    async def opens_a_stream(self):
        client = await self._served.connect()
        message = self._raw.modern("subscriptions/listen", notifications={"toolsListChanged": True})
        await client.post(message, headers=self._raw.modern_headers(message))
        assert (await client.head()).status == 200
        assert "acknowledged" in (await anext(client.events()))["method"]
        return client

    async def leaves_in_a_call(self):
        client = await self._served.connect()
        message = self._raw.modern("tools/call", name="wait", arguments={})
        await client.post(message, headers=self._raw.modern_headers(message))
        await self._raw.until(lambda: self._served.runtime.counts().in_flight)
        return client


@pytest.mark.parametrize("way", [name for name in vars(Ways) if not name.startswith("_")])
async def test_a_closed_connection_leaves_nothing_to_the_garbage_collector(serve, raw, garbage, way):
    served = await serve(limits={"loopback": False})
    ways = Ways(served, raw)
    (await getattr(ways, way)()).close()
    await raw.until(lambda: not served.runtime.counts().connections)
    garbage()
    for _ in range(raw.many_ended):
        (await getattr(ways, way)()).close()
    await raw.until(lambda: not served.runtime.counts().connections)
    assert not garbage()


CALLS = {
    "at once": ("tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}),
    "that fails": ("tools/call", {"name": "fail", "arguments": {}}),
    "in a stream": ("tools/call", {"name": "steps", "arguments": {"count": 2, "size": 3}}),
    "of no tool": ("tools/call", {"name": "missing", "arguments": {}}),
    "that lists": ("tools/list", {}),
    "that nobody serves": ("nobody/serves", {}),
}


@pytest.mark.parametrize("era", ["modern", "handshake"])
@pytest.mark.parametrize("kind", CALLS)
async def test_a_call_leaves_nothing_to_the_garbage_collector(serve, raw, garbage, kind, era):
    served = await serve()
    method, params = CALLS[kind]
    message = getattr(raw, era)(method, **params)
    headers = raw.modern_headers(message) if era == "modern" else {}
    if era == "handshake":
        headers = {"mcp-session-id": await served.initialize(), "mcp-protocol-version": "2025-11-25"}
    client = await served.connect()
    for number in range(raw.many_ended + 3):
        if number == 3:
            garbage()
        assert (await client.call(message, headers=headers)).status in (200, 404)
    assert not garbage()
