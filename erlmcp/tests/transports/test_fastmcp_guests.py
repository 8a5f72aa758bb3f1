"""What a FastMCP knows of its clients when it is a guest."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio

FAST = "fast.py:server"


async def call(served, raw, tool: str, **arguments: object):
    client = await served.connect()
    message = raw.modern("tools/call", name=tool, arguments=arguments)
    return (await client.call(message, headers=raw.modern_headers(message))).json


async def test_over_http_it_knows_that_it_has_many_clients(serve, raw):
    served = await serve(FAST)
    answer = await call(served, raw, "which_transport")
    assert answer["result"]["content"][0]["text"] == "streamable-http"


async def test_what_one_client_hides_is_not_hidden_from_another(serve, raw):
    served = await serve(FAST)
    await call(served, raw, "hide", name="greet")
    answer = await call(served, raw, "greet", name="you")
    assert answer["result"]["content"][0]["text"] == "hello you"
