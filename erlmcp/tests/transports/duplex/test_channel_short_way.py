"""A compiled call on a channel answers as the kernel does, in both eras, and is bound by the same rules."""

import json

import pytest

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
async def test_the_short_way_and_the_kernel_give_the_same_answers(connect, raw, monkeypatch, era):
    short = await connect("tcp")
    compiled = short.served.runtime.channels._compiled
    taken = []
    start = compiled.start
    monkeypatch.setattr(compiled, "start", lambda *args: taken.append(1) or start(*args))
    quick = await answers(short, raw, era)
    assert len(taken) == len(CALLS) - 1, "all but the unknown tool went the short way"
    monkeypatch.setattr(compiled, "plain", lambda _: None)
    long = await connect("tcp", short.served)
    assert await answers(long, raw, era) == quick
    assert len(taken) == len(CALLS) - 1


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
