"""A FastMCP learns over which transport a client came, since it keeps state for the whole process on some."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio

TOLD = {"stdio": "stdio", "sse": "sse", "tcp": "streamable-http", "websocket": "streamable-http"}


async def test_the_transport_is_told_to_a_fastmcp(serve, connect, raw, transport):
    client = await connect(transport, await serve("fast.py:server"))
    await client.initialize()
    answer = await client.call(raw.handshake("tools/call", 2, name="which_transport", arguments={}))
    assert answer["result"]["content"][0]["text"] == TOLD[transport]
