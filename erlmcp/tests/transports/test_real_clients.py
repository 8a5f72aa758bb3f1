"""The clients that people use, against real runtimes."""

import asyncio

import pytest
from fastmcp import Client as FastClient
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp_types import ElicitResult

from erlmcp.sessions.bus import LocalBus

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")


@pytest.mark.behaviour("clients.official-of-each-era", transport="http", era="any")
@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_the_sdk_client_of_each_era_calls_tools_and_hears_progress(serve, mode):
    served = await serve()
    heard = []

    async def on_progress(progress, total, message):
        heard.append((progress, total))

    async with Client(served.url, mode=mode) as client:
        assert "add" in {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        arguments = {"count": 3, "size": 1}
        result = await client.call_tool("steps", arguments, progress_callback=on_progress)
        assert result.content[0].text == "done"
        assert (await client.call_tool("fail", {})).is_error
        assert (await client.read_resource("note://one")).contents[0].text == "first"
    assert heard == [(0, 3), (1, 3), (2, 3)]
    era = "handshake" if mode == "legacy" else "modern"
    assert {row[1] for row in served.meter.snapshot()["requests"]} == {era}


@pytest.mark.behaviour("asking.in-either-era", transport="http", era="any")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_tool_can_ask_the_person_in_either_era(serve, mode):
    served = await serve("asking.py:server" if mode == "auto" else "workshop.py:fresh")

    async def answer(context, params):
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with Client(served.url, mode=mode, elicitation_callback=answer) as client:
        assert (await client.call_tool("ask_name", {})).content[0].text == "Ada"


@pytest.mark.behaviour("workers.listener-hears-everywhere", transport="http", era="modern")
async def test_a_change_on_one_worker_reaches_a_listener_on_another_and_a_drain_ends_it(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    async with (
        Client(first.url) as listener,
        Client(second.url) as other,
        listener.listen(tools_list_changed=True, resource_subscriptions=["note://one"]) as changes,
    ):
        await other.call_tool("change", {"uri": "note://one"})
        events = [await asyncio.wait_for(anext(changes), 5) for _ in range(2)]
        assert {type(event) for event in events} == {ResourceUpdated, ToolsListChanged}
        first.runtime.begin_drain()
        rest = [event async for event in changes]
        assert rest == [], "the end is graceful: a loss would have raised"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_fastmcp_guests_and_clients_work(serve, mode):
    served = await serve("fast.py:server")
    assert served.runtime.guest.kind == "FastMCP"
    heard = []

    async def on_progress(progress, total, message):
        heard.append(progress)

    async with FastClient(served.url) as client:
        assert (await client.call_tool("greet", {"name": "Ada"})).data == "hello Ada"
    async with Client(served.url, mode=mode) as client:
        result = await client.call_tool("slow_steps", {}, progress_callback=on_progress)
        assert result.content[0].text == "done"
    assert heard == [1]


@pytest.mark.behaviour("handover.session-goes-on", transport="http", era="handshake")
async def test_a_handshake_client_keeps_its_session_while_its_worker_is_replaced(serve):
    bus = LocalBus()
    old, new = await serve(bus=bus), await serve(bus=bus)
    async with Client(old.url, mode="legacy") as client:
        await client.list_tools()
        sock = old.sock
        new.runtime.listen(sock, "handed over")
        old.runtime.stop_listening("public")
        old.runtime.begin_drain()
        for number in range(5):
            result = await client.call_tool("add", {"a": number, "b": 1})
            assert result.structured_content == {"result": number + 1}
    assert new.outcomes("tools/call")["ok"] >= 1, "kept connections may serve the first ones"
    assert old.outcomes("initialize") == {"ok": 1}
