"""Whatever bytes come, a channel neither raises nor falls silent, and what it says is JSON-RPC."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erlmcp.config.schema import HttpSettings, LogSettings, McpSettings, Settings
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.runtime import GuestRuntime

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
METHODS = [
    "initialize", "ping", "tools/list", "tools/call", "server/discover", "subscriptions/listen",
    "notifications/cancelled", "notifications/initialized", "notifications/progress", "no/such",
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
metas = st.fixed_dictionaries(
    {VERSION: st.sampled_from(["2026-07-28", "1999-01-01", 7]), CAPABILITIES: st.just({})}
)
initialize = st.just(
    {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
)
params = (
    initialize
    | values
    | st.fixed_dictionaries({"_meta": metas | values})
    | st.fixed_dictionaries({"requestId": st.integers(0, 3)})
)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | values},
    optional={
        "id": st.integers(0, 3) | values,
        "method": st.sampled_from(METHODS) | values,
        "params": params,
        "result": values,
        "error": values,
    },
)
frames = st.lists(
    st.binary(max_size=40)
    | messages.map(lambda m: json.dumps(m).encode())
    | values.map(lambda v: json.dumps(v).encode()),
    max_size=10,
)


class Recorder:
    """A wire that keeps what is sent."""

    def __init__(self):
        self.sent = []
        self.left = False

    def send(self, message):
        self.sent.append(json.loads(message))

    answer = send

    async def relief(self):
        await asyncio.sleep(0)

    def hold(self, *, reading):
        pass

    def leave(self):
        self.left = True

    refuse = leave


@pytest.fixture(scope="module")
def world():
    with asyncio.Runner() as runner:

        async def start():
            return await GuestRuntime.start(
                str(Path(__file__).parents[1] / "guests" / "workshop.py") + ":fresh",
                settings=Settings(http=HttpSettings(), mcp=McpSettings(), log=LogSettings()),
                keys=KeyRing([KeyRing.generate()]),
                bus=LocalBus(),
                meter=Meter(),
            )

        runtime = runner.run(start())
        yield runner, runtime
        runner.run(runtime.close())


@pytest.mark.behaviour("messages.any-order-one-answer-each", transport="tcp", era="any")
@given(frames)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_every_request_is_answered_once_and_the_channel_lives(world, frames):
    runner, runtime = world
    runner.run(_play(runtime, frames))


async def _play(runtime, frames):
    wire = Recorder()
    channel = runtime.channels.open(wire, Peer("tcp", ""))
    for frame in frames:
        channel.receive(frame)
        await asyncio.sleep(0)
    channel.receive(b'{"jsonrpc":"2.0","id":"last","method":"initialize"}')
    async with asyncio.timeout(10):
        while not any(sent.get("id") == "last" for sent in wire.sent):  # noqa: ASYNC110 - a recorder has no event
            await asyncio.sleep(0.001)
    for sent in wire.sent:
        assert sent["jsonrpc"] == "2.0"
        assert ("result" in sent) + ("error" in sent) + ("method" in sent) == 1
    answered = [repr(sent["id"]) for sent in wire.sent if "method" not in sent and sent["id"] == "last"]
    assert answered == ["'last'"]
    runtime.channels.closed(channel)
    async with asyncio.timeout(10):
        while runtime.counts().in_flight or runtime.counts().streams:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
    assert not wire.left
