"""A compiled call on a channel answers as the kernel does, in both eras, and is bound by the same rules."""

import json

import pytest
from mcp.shared.exceptions import MCPError

from erlmcp.transports.duplex.stream_wire import MOST_GATHERED_BYTES, StreamWire

pytestmark = pytest.mark.anyio

CALLS = [
    ("add", {"a": 1, "b": 2}),
    ("add", {"a": "3", "b": 4}),
    ("add", {"a": "x", "b": 2}),
    ("add", {"a": 1}),
    ("add", {"a": 2**70, "b": 1}),
    ("fail", {}),
    ("no-such-tool", {}),
]


async def answers(client, raw, era):
    if era == "handshake":
        await client.initialize()
    else:
        await client.call(raw.modern("server/discover", "first"))  # the era is decided the ordinary way
    make = raw.modern if era == "modern" else raw.handshake
    return [
        await client.call(make("tools/call", number, name=name, arguments=arguments))
        for number, (name, arguments) in enumerate(CALLS)
    ]


@pytest.mark.parametrize("era", ["modern", "handshake"])
@pytest.mark.parametrize("transport", ["tcp", "websocket"])
async def test_both_short_ways_and_the_kernel_give_the_same_answers(
    connect, raw, monkeypatch, era, transport
):
    short = await connect(transport)
    compiled = short.served.runtime.channels._compiled
    at_once, in_a_task = [], []
    answer_now, start = compiled.answer_now, compiled.start
    monkeypatch.setattr(compiled, "answer_now", lambda *args: at_once.append(1) or answer_now(*args))
    monkeypatch.setattr(compiled, "start", lambda *args: in_a_task.append(1) or start(*args))
    quick = await answers(short, raw, era)
    assert (len(at_once), in_a_task) == (len(CALLS) - 1, []), "all but the unknown tool went the short way"

    monkeypatch.setattr(StreamWire, "is_behind", True)
    assert await answers(await connect(transport, short.served), raw, era) == quick
    assert (len(at_once), len(in_a_task)) == (len(CALLS) - 1, len(CALLS) - 1)

    monkeypatch.setattr(compiled, "plain", lambda *_: None)
    assert await answers(await connect(transport, short.served), raw, era) == quick
    assert (len(at_once), len(in_a_task)) == (len(CALLS) - 1, len(CALLS) - 1)


async def test_a_tool_that_cannot_be_answered_at_once_has_run_only_once(connect, raw, monkeypatch):
    client = await connect("tcp")
    compiled = client.served.runtime.channels._compiled
    made = []

    def refuse(*args):
        made.append(args)
        return MCPError(-32050, "not at once")

    await client.call(raw.modern("server/discover", "first"))
    monkeypatch.setattr(compiled, "answer_now", refuse)
    call = raw.modern("tools/call", 1, name="add", arguments={"a": 1, "b": 2})
    assert (await client.call(call))["error"] == {"code": -32050, "message": "not at once"}
    assert len(made) == 1


async def test_a_call_that_is_answered_at_once_is_counted_and_timed(connect, raw):
    client = await connect("tcp")
    await client.call(raw.modern("server/discover", "first"))
    await client.call(raw.modern("tools/call", 1, name="add", arguments={"a": 1, "b": 2}))
    counted = client.served.runtime._service.meter.snapshot()
    assert ["tools/call", "modern", "tcp", "ok", 1] in counted["requests"]
    assert sum(counted["durations"]["tools/call"]["buckets"]) == 1


async def test_large_answers_to_calls_that_came_together_do_not_pile_up(connect, raw, monkeypatch):
    client = await connect("tcp")
    compiled = client.served.runtime.channels._compiled
    most = []
    monkeypatch.setattr(compiled, "answer_now", lambda _, call, *rest: big_answer(client, call, rest, most))
    await client.call(raw.modern("server/discover", "first"))
    calls = [raw.modern("tools/call", n, name="add", arguments={"a": 1, "b": 2}) for n in range(40)]
    await client.write(b"\n".join(json.dumps(call).encode() for call in calls))
    assert sorted([(await client.receive())["id"] for _ in calls]) == list(range(40))
    assert len(most) > 1
    assert max(most) <= MOST_GATHERED_BYTES, "beyond it they are written"


def big_answer(client, call, rest, most):
    _, _, answer, _ = rest
    [wire] = client.served.runtime._tcp.wires
    most.append(sum(len(each) for each in wire._gathered))
    text = "x" * 20_000
    answer(f'{{"jsonrpc":"2.0","id":{call.id},"result":{{"text":"{text}"}}}}'.encode())


async def test_an_envelope_of_another_revision_is_refused_on_the_short_way_too(connect, raw):
    client = await connect("tcp")
    good = raw.modern("tools/call", 1, name="add", arguments={"a": 1, "b": 2})
    assert (await client.call(good))["result"]["structuredContent"] == {"result": 3}
    meta = {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    bad = raw.modern("tools/call", 2, name="add", arguments={"a": 1, "b": 2}, _meta=meta)
    assert (await client.call(bad))["error"]["code"] == -32022
    bare = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "add", "arguments": {}}}
    assert (await client.call(bare))["error"]["code"] == -32602


async def test_before_initialize_no_tool_is_called_and_the_rate_limit_holds(connect, serve, raw):
    client = await connect("tcp", await serve(limits={"requests_per_s": 0.01, "burst": 4}))
    call = json.dumps(raw.handshake("tools/call", 1, name="add", arguments={"a": 1, "b": 2})).encode()
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    assert (await client.call(call))["error"]["code"] == -32602
    await client.initialize()
    assert (await client.call(call))["result"]["content"][0]["text"] == "3"
    assert (await client.call(call))["error"]["code"] == -31429
