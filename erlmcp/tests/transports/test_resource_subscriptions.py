"""A client of the handshake era hears of changed resources, whichever worker it talks to."""

import pytest

from erlmcp.sessions import subscriptions
from erlmcp.sessions.bus import LocalBus

pytestmark = pytest.mark.anyio


@pytest.fixture
def workers(serve):
    async def start(guest="workshop.py:fresh"):
        bus = LocalBus()
        return [await serve(guest, bus=bus), await serve(guest, bus=bus)]

    return start


async def capabilities(served, raw, version="2025-11-25"):
    client = {"name": "c", "version": "1"}
    message = raw.handshake("initialize", protocolVersion=version, capabilities={}, clientInfo=client)
    return (await (await served.connect()).call(message)).json["result"]["capabilities"]


async def subscribe(served, raw, session, uri="note://one", method="resources/subscribe"):
    return await served.session_call(session, raw.handshake(method, uri=uri))


async def change(served, raw, session, uri):
    await served.session_call(session, raw.handshake("tools/call", name="change", arguments={"uri": uri}))


async def told_until_lists_changed(stream):
    """What was said before the change of lists that each change in this file ends with."""
    told = []
    async for event in stream:
        if event["method"] == "notifications/tools/list_changed":
            return told
        told.append((event["method"], event["params"]))
    raise AssertionError("the stream ended")


def updated(uri):
    return ("notifications/resources/updated", {"uri": uri})


@pytest.mark.behaviour("workers.subscription-anywhere", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_subscriber_hears_of_its_resource_at_whatever_worker_it_subscribed(workers, raw, worker):
    served = await workers()
    session = await served[0].initialize()
    stranger = await served[0].initialize()
    client, _ = await served[0].get_stream(session)
    other, _ = await served[0].get_stream(stranger)
    stream, other_stream = client.events(), other.events()
    assert (await subscribe(served[worker], raw, session)).json["result"] == {}
    await change(served[1], raw, stranger, "note://two")
    assert await told_until_lists_changed(stream) == []
    await change(served[1], raw, stranger, "note://one")
    assert await told_until_lists_changed(stream) == [updated("note://one")]
    reply = await subscribe(served[1 - worker], raw, session, method="resources/unsubscribe")
    assert reply.json["result"] == {}
    await change(served[0], raw, stranger, "note://one")
    assert await told_until_lists_changed(stream) == []
    for _ in range(3):
        assert await told_until_lists_changed(other_stream) == [], "who has not subscribed hears nothing"


@pytest.mark.behaviour("workers.subscription-outlives-a-worker", transport="http", era="handshake")
async def test_subscriptions_are_known_to_a_worker_that_starts_later_and_end_with_the_session(serve, raw):
    bus = LocalBus()
    first = await serve(bus=bus)
    session, other = await first.initialize(), await first.initialize()
    for each in (session, other):
        await subscribe(first, raw, each)
    second = await serve(bus=bus)
    client, _ = await second.get_stream(session)
    await first.close()
    await second.delete(other)
    await change(second, raw, session, "note://one")
    assert await told_until_lists_changed(client.events()) == [updated("note://one")]


@pytest.mark.behaviour("resources.capability-declared", transport="http", era="handshake")
@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_capability_is_declared_in_each_revision_that_has_it(serve, raw, version):
    assert (await capabilities(await serve(), raw, version))["resources"]["subscribe"] is True


@pytest.mark.behaviour("resources.nothing-declared-untrue", transport="http", era="handshake")
async def test_a_guest_whose_changes_are_not_heard_declares_nothing(serve, raw):
    served = await serve("plain.py:server")
    assert "resources" not in await capabilities(served, raw)
    session = await served.initialize()
    assert (await subscribe(served, raw, session)).json["error"]["code"] == -32601


async def test_a_guest_that_serves_subscriptions_itself_is_left_alone(serve, raw):
    served = await serve("subscribing.py:server")
    assert (await capabilities(served, raw))["resources"]["subscribe"] is True
    reply = await subscribe(served, raw, await served.initialize())
    assert reply.json["error"]["message"] == "by the guest itself"


@pytest.mark.behaviour("resources.subscribe-is-gone", transport="http", era="modern")
async def test_in_the_modern_era_the_method_does_not_exist(serve, raw):
    served = await serve()
    reply = await served.modern_call("resources/subscribe", uri="note://one")
    assert (reply.status, reply.json["error"]["code"]) == (404, -32601)


@pytest.mark.behaviour("limits.subscriptions", transport="http", era="handshake")
async def test_a_session_subscribes_to_so_many_resources(serve, raw, monkeypatch):
    monkeypatch.setattr(subscriptions, "MAX_OF_SESSION", 2)
    served = await serve()
    session = await served.initialize()
    for uri in ("note://1", "note://2", "note://2"):
        assert "result" in (await subscribe(served, raw, session, uri)).json
    reply = await subscribe(served, raw, session, "note://3")
    assert (reply.status, reply.json["error"]["code"]) == (429, -31432)
    await subscribe(served, raw, session, "note://1", "resources/unsubscribe")
    assert "result" in (await subscribe(served, raw, session, "note://3")).json


@pytest.mark.behaviour("limits.uri-length", transport="http", era="handshake")
@pytest.mark.parametrize(("length", "fits"), [(2048, True), (2049, False)])
async def test_a_uri_has_a_greatest_length(serve, raw, length, fits):
    served = await serve()
    uri = "note://" + "x" * (length - 7)
    reply = await subscribe(served, raw, await served.initialize(), uri)
    assert ("result" in reply.json) is fits
    assert fits or reply.json["error"]["code"] == -32602
