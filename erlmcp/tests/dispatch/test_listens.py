"""Many listen streams are told of changes in order, a part in each turn of the loop, and hold nothing up."""

import asyncio
import json

import pytest
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.subscriptions import event_matches
from mcp_types import SubscriptionFilter
from opentelemetry import trace

from erlmcp.dispatch import listens, sdk_private
from erlmcp.dispatch.listens import Listens, ListenStream
from erlmcp.sessions.bus import PROMPTS, RESOURCE_UPDATED, RESOURCES, SESSION_USED, TOOLS, BusEvent, LocalBus

pytestmark = pytest.mark.anyio

VERSION = "2026-07-28"
TOOLS_ONLY = SubscriptionFilter(tools_list_changed=True)
EVERYTHING = SubscriptionFilter(
    tools_list_changed=True,
    prompts_list_changed=True,
    resources_list_changed=True,
    resource_subscriptions=["note://one"],
)


class Heard:
    """What one stream has heard."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.ids: list[object] = []
        self.result: object = None

    def say(self, message: bytes) -> None:
        told = json.loads(message)
        self.methods.append(told["method"].removeprefix("notifications/"))
        self.ids.append(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"])

    def finish(self, result: object) -> None:
        self.result = result


def server_of(guest: MCPServer):
    return sdk_private.lowlevel_of_mcpserver(guest)


@pytest.fixture
def bus():
    return LocalBus()


@pytest.fixture
def streams(bus):
    return Listens(server_of(MCPServer("many")), bus, 10_000)


def opened(streams, count, asked):
    heard = [Heard() for _ in range(count)]
    for number, each in enumerate(heard):
        streams._streams[ListenStream(streams, each, number, VERSION, asked)] = None
    return heard


async def test_each_hears_every_change_in_order_with_its_own_id(streams, bus):
    heard = opened(streams, 600, EVERYTHING)
    for event in (
        BusEvent(TOOLS),
        BusEvent(RESOURCE_UPDATED, "note://one"),
        BusEvent(RESOURCE_UPDATED, "note://two"),
        BusEvent(SESSION_USED, "x"),
        BusEvent(PROMPTS),
        BusEvent(RESOURCES),
    ):
        bus.publish(event)
    assert sum(bool(each.methods) for each in heard) == 256, "the others wait for their turn of the loop"
    async with asyncio.timeout(5):
        while len(heard[-1].methods) < 4:  # noqa: ASYNC110 - it takes some turns of the loop
            await asyncio.sleep(0)
    kinds = ["tools/list_changed", "resources/updated", "prompts/list_changed", "resources/list_changed"]
    assert all(each.methods == kinds for each in heard)
    assert [set(each.ids) for each in heard] == [{number} for number in range(600)]


async def test_when_too_many_changes_wait_all_are_told_at_once(streams, bus, monkeypatch):
    monkeypatch.setattr(listens, "MAX_WAITING", 3)
    heard = opened(streams, 600, TOOLS_ONLY)
    for _ in range(4):
        bus.publish(BusEvent(TOOLS))
    assert len(streams._waiting) == 0
    assert all(len(each.methods) == 4 for each in heard)
    await asyncio.sleep(0)
    bus.publish(BusEvent(TOOLS))
    assert len(heard[0].methods) == 5


async def test_one_that_has_left_hears_nothing_more_and_one_that_has_come_hears_only_the_next(streams, bus):
    heard = opened(streams, 300, TOOLS_ONLY)
    bus.publish(BusEvent(TOOLS))
    last = list(streams._streams)[-1]
    last.leave()
    late = Heard()
    streams._streams[ListenStream(streams, late, "late", VERSION, TOOLS_ONLY)] = None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert heard[-2].methods == ["tools/list_changed"]
    assert heard[-1].methods == late.methods == []


async def test_a_stream_that_cannot_be_told_costs_the_others_nothing(streams, bus, caplog):
    before, after = opened(streams, 1, TOOLS_ONLY)[0], Heard()
    broken = ListenStream(streams, None, "broken", VERSION, TOOLS_ONLY)
    streams._streams[broken] = None
    streams._streams[ListenStream(streams, after, "after", VERSION, TOOLS_ONLY)] = None
    bus.publish(BusEvent(TOOLS))
    assert before.methods == after.methods == ["tools/list_changed"]
    assert "telling a listen stream" in caplog.text


async def test_at_the_end_each_gets_its_result(streams, bus):
    heard = opened(streams, 3, TOOLS_ONLY)
    streams.close()
    ids = [each.result["_meta"]["io.modelcontextprotocol/subscriptionId"] for each in heard]
    assert ids == [0, 1, 2]
    bus.publish(BusEvent(TOOLS))
    assert [each.methods for each in heard] == [[], [], []]


async def test_only_what_was_asked_for_is_wanted(streams):
    changes = (ToolsListChanged(), PromptsListChanged(), ResourcesListChanged(), ResourceUpdated(uri="a://b"))
    for asked in (
        SubscriptionFilter(tools_list_changed=True, prompts_list_changed=False),
        SubscriptionFilter(prompts_list_changed=True),
        SubscriptionFilter(resources_list_changed=True),
        SubscriptionFilter(resource_subscriptions=["a://b"]),
        SubscriptionFilter(resource_subscriptions=["a://c"]),
    ):
        stream = ListenStream(streams, Heard(), 1, VERSION, asked)
        uris = frozenset(asked.resource_subscriptions or ())
        assert [stream.wants(each) for each in changes] == [
            event_matches(asked, uris, each) for each in changes
        ]


async def test_middleware_of_the_guest_and_a_tracer_see_the_handler_stay(monkeypatch):
    server = server_of(MCPServer("watched"))
    assert sdk_private.is_unobserved(server)
    with monkeypatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", object())
        assert not sdk_private.is_unobserved(server)
    with monkeypatch.context() as patch:
        patch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "sdk")
        assert not sdk_private.is_unobserved(server)

    async def watch(ctx, call_next):
        return await call_next(ctx)

    server.middleware.append(watch)
    assert not sdk_private.is_unobserved(server)
