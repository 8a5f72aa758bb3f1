"""Resource subscriptions of the handshake era on a channel that is its own session."""

import pytest

from erlmcp.sessions.bus import BUS_GAP, BusEvent

pytestmark = pytest.mark.anyio

URI = "note://one"


async def change(client, raw, request_id):
    await client.send(raw.handshake("tools/call", request_id, name="change", arguments={"uri": URI}))
    heard = []
    while True:
        message = await client.receive()
        if message.get("id") == request_id:
            return heard
        heard.append(message["method"].rpartition("/")[2])


@pytest.mark.behaviour("resources.subscribe-and-unsubscribe", era="handshake")
async def test_who_has_subscribed_hears_of_the_change_until_it_unsubscribes(connect, raw, transport):
    client = await connect(transport)
    other = await connect(transport, client.served)
    for each in (client, other):
        assert (await each.initialize())["capabilities"]["resources"]["subscribe"] is True
        await each.call(raw.handshake("ping"))
    assert (await client.call(raw.handshake("resources/subscribe", 1, uri=URI)))["result"] == {}
    assert "updated" in await change(client, raw, 2)
    assert (await other.receive())["method"] == "notifications/tools/list_changed"
    assert (await client.call(raw.handshake("resources/unsubscribe", 3, uri=URI)))["result"] == {}
    assert await change(client, raw, 4) == ["list_changed"]


async def test_when_changes_may_have_been_missed_a_channel_is_told_of_all_that_it_wants(
    connect, raw, transport
):
    client = await connect(transport)
    await client.initialize()
    await client.call(raw.handshake("resources/subscribe", 1, uri=URI))
    client.served.runtime.channels._hear(BusEvent(BUS_GAP))
    told = [(await client.receive())["method"].removeprefix("notifications/") for _ in range(4)]
    assert sorted(told) == [
        "prompts/list_changed",
        "resources/list_changed",
        "resources/updated",
        "tools/list_changed",
    ]


@pytest.mark.behaviour("resources.subscription-ends-with-the-channel", era="handshake")
async def test_a_channel_that_has_ended_leaves_no_subscription(connect, raw, transport):
    client = await connect(transport)
    await client.initialize()
    await client.call(raw.handshake("resources/subscribe", 1, uri=URI))
    subscriptions = client.served.runtime.channels.subscriptions
    assert len(subscriptions.of(URI)) == 1
    await client.close()
    await raw.until(lambda: not subscriptions.of(URI))
