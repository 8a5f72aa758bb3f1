"""The least level of log messages that one client of a channel sets is its own affair."""

import pytest

pytestmark = pytest.mark.anyio


async def levels_heard(client, raw):
    await client.send(raw.handshake("tools/call", "logs", name="during", arguments={}))
    heard = []
    while (message := await client.receive()).get("id") != "logs":
        heard.append(message["params"]["level"])
    return heard


async def test_a_channel_hears_no_message_below_the_level_it_has_set(connect, serve, raw, transport):
    served = await serve("logging_guests.py:plain")
    client = await connect(transport, served)
    await client.initialize()
    assert await levels_heard(client, raw) == ["debug", "info", "warning", "error"]
    assert (await client.call(raw.handshake("logging/setLevel", 1, level="error")))["result"] == {}
    assert await levels_heard(client, raw) == ["error"]


async def test_the_level_of_one_client_silences_no_other(connect, serve, raw, transport):
    served = await serve("logging_guests.py:fast")
    first, second = await connect(transport, served), await connect(transport, served)
    for client in (first, second):
        await client.initialize()
    if transport == "stdio":
        await second.close()  # there each client has a process of its own
        second = await connect("tcp", served)
        await second.initialize()
    await first.call(raw.handshake("logging/setLevel", 1, level="error"))
    assert await levels_heard(first, raw) == ["error"]
    assert await levels_heard(second, raw) == ["info", "error"]
