"""Changes of a guest on their way through the bus, and what happens when the SDK is not as known."""

import asyncio

import pytest
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.changes import ChangeBus, bridge, from_bus, to_bus
from erlmcp.dispatch.errors import GuestError
from erlmcp.dispatch.guest import LISTEN, Guest
from erlmcp.dispatch.loading import Loaded
from erlmcp.sessions.bus import BusEvent, LocalBus
from erlmcp.sessions.sealed import KeyRing

CHANGES = [ToolsListChanged(), PromptsListChanged(), ResourcesListChanged(), ResourceUpdated(uri="note://ü")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_survives_its_way_over_the_bus(change):
    assert from_bus(to_bus(change)) == change


def test_events_of_other_kinds_are_no_changes():
    assert from_bus(BusEvent("session-ended", "x")) is None


@pytest.mark.anyio
async def test_what_a_guest_publishes_is_heard_by_the_listeners_of_another():
    bus, source, heard = LocalBus(), InMemorySubscriptionBus(), []
    unbridge = bridge(source, bus)
    unsubscribe = ChangeBus(bus).subscribe(heard.append)
    for change in CHANGES:
        await source.publish(change)
    assert heard == CHANGES
    await ChangeBus(bus).publish(CHANGES[0])
    assert heard == [*CHANGES, CHANGES[0]]
    unbridge()
    await source.publish(CHANGES[0])
    unsubscribe()
    await ChangeBus(bus).publish(CHANGES[0])
    assert len(heard) == len(CHANGES) + 1


KEYS = KeyRing([KeyRing.generate()])


class OwnBus:
    """A bus that a guest brought: it reaches other processes by itself."""

    async def publish(self, event):
        await asyncio.sleep(0)

    def subscribe(self, listener):
        return lambda: None


async def loaded(monkeypatch, server, bus):
    monkeypatch.setattr("erlmcp.dispatch.guest.load", lambda target, **_: _ready(server))
    return await Guest.load("x:server", bus=bus, keys=KEYS, max_streams=7)


async def _ready(server):
    return Loaded(server)


@pytest.mark.anyio
async def test_the_in_process_bus_is_bridged_and_a_bus_of_the_guest_is_left_alone(monkeypatch):
    bus = LocalBus()
    bridged = await loaded(monkeypatch, MCPServer("a"), bus)
    assert bridged.delivers_changes
    own = MCPServer("b", subscriptions=OwnBus())
    before = sdk_private.lowlevel_of_mcpserver(own).get_request_handler(LISTEN).handler
    left_alone = await loaded(monkeypatch, own, bus)
    assert not left_alone.delivers_changes
    assert left_alone.server.get_request_handler(LISTEN).handler is before
    assert left_alone.ends_listeners, "its streams still end at a drain"
    none = await loaded(monkeypatch, MCPServer("c", subscriptions=False), bus)
    assert none.server.get_request_handler(LISTEN) is None


@pytest.mark.anyio
async def test_a_low_level_server_with_the_sdks_listen_handler_is_bridged(monkeypatch):
    bus, source, heard = LocalBus(), InMemorySubscriptionBus(), []
    bus.subscribe(heard.append)
    server = Server("low", on_subscriptions_listen=ListenHandler(source))
    guest = await loaded(monkeypatch, server, bus)
    await source.publish(CHANGES[0])
    assert heard == [BusEvent("tools")]
    assert guest.initialization_options().server_name == "low"


@pytest.mark.anyio
async def test_handshake_clients_are_told_that_lists_announce_changes_only_if_they_do(monkeypatch, tmp_path):
    bus = LocalBus()
    told = await loaded(monkeypatch, MCPServer("a"), bus)
    untold = await loaded(monkeypatch, MCPServer("b", subscriptions=False), bus)
    assert told.initialization_options().capabilities.tools.list_changed is True
    assert not untold.initialization_options().capabilities.tools.list_changed


@pytest.mark.anyio
async def test_an_sdk_of_unknown_shape_is_refused_in_words(monkeypatch):
    server = MCPServer("a")
    monkeypatch.setattr(server, "_lowlevel_server", object())
    with pytest.raises(GuestError) as caught:
        await loaded(monkeypatch, server, LocalBus())
    assert caught.value.error_id == "guest.sdk-missing"


def test_without_the_private_attribute_the_feature_is_off_and_nothing_breaks():
    assert sdk_private.lowlevel_of_mcpserver(object()) is None
    assert sdk_private.lowlevel_of_fastmcp(object()) is None
    assert sdk_private.change_source_of_mcpserver(object()) is None
    assert sdk_private.change_source_of_listen(ListenHandler(OwnBus())) is None
