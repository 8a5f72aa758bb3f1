"""What holds on every channel that a client and the server share, whatever carries it."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

LISTEN = "subscriptions/listen"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def error_of(answer):
    return answer["error"]["code"], answer["id"]


# -- eras --


@pytest.mark.behaviour("era.modern-needs-no-handshake")
async def test_a_modern_client_discovers_and_calls(connect, raw, modern_transport):
    client = await connect(modern_transport)
    answer = await client.call(raw.modern("server/discover", "a"))
    assert answer["id"] == "a"
    assert answer["result"]["supportedVersions"] == ["2026-07-28"]
    answer = await client.call(raw.modern("tools/call", 2, name="add", arguments={"a": 1, "b": 2}))
    assert answer["result"]["structuredContent"] == {"result": 3}
    assert answer["result"]["resultType"] == "complete"


@pytest.mark.behaviour("era.every-handshake-revision", era="handshake")
@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_a_handshake_client_negotiates_and_calls(connect, raw, transport, version):
    client = await connect(transport)
    assert (await client.initialize(version))["protocolVersion"] == version
    answer = await client.call(raw.handshake("tools/call", 2, name="add", arguments={"a": 1, "b": 2}))
    assert answer["result"]["content"][0]["text"] == "3"
    assert "resultType" not in answer["result"]


@pytest.mark.behaviour("initialize.pipelined-requests-wait", era="handshake")
async def test_requests_pipelined_behind_initialize_wait_for_it(connect, raw, transport):
    client = await connect(transport)
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "r", "version": "0"},
    }
    await client.send(raw.handshake("initialize", 1, **params))
    await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    await client.send(raw.handshake("tools/call", 2, name="add", arguments={"a": 1, "b": 2}))
    assert (await client.receive())["id"] == 1
    assert (await client.receive())["result"]["content"][0]["text"] == "3"


@pytest.mark.behaviour("era.first-request-pins-modern")
async def test_the_first_request_pins_the_modern_era(connect, raw, modern_transport):
    client = await connect(modern_transport)
    await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert "result" in await client.call(raw.modern("tools/list", 1))
    refused = await client.call(raw.handshake("initialize", 2, protocolVersion="2025-11-25"))
    assert error_of(refused) == (-32022, 2)
    assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
    assert error_of(await client.call(raw.handshake("tools/list", 3))) == (-32602, 3)
    assert "result" in await client.call(raw.modern("tools/list", 4)), "the channel goes on"


@pytest.mark.behaviour("era.first-request-pins-handshake", era="handshake")
async def test_the_first_request_pins_the_handshake_era(connect, raw, transport):
    client = await connect(transport)
    await client.initialize()
    assert error_of(await client.call(raw.modern("tools/list", 2))) == (-32600, 2)
    assert "result" in await client.call(raw.handshake("tools/list", 3)), "the channel goes on"


@pytest.mark.behaviour("initialize.once", era="handshake")
async def test_initialize_is_taken_once(connect, raw, transport):
    client = await connect(transport)
    await client.initialize()
    assert error_of(await client.call(raw.handshake("initialize", 2, protocolVersion="2025-11-25"))) == (
        -32600,
        2,
    )


@pytest.mark.behaviour("initialize.only-ping-before", era="handshake")
async def test_before_initialize_only_ping_is_answered(connect, raw, transport):
    client = await connect(transport)
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}
    assert error_of(await client.call(raw.handshake("tools/list", 2))) == (-32602, 2)
    await client.initialize()
    assert "result" in await client.call(raw.handshake("tools/list", 3))


@pytest.mark.behaviour("envelope.unknown-version")
async def test_a_modern_request_without_its_envelope_or_of_another_revision_is_refused(
    connect, raw, modern_transport
):
    client = await connect(modern_transport)
    version = {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    refused = await client.call(raw.modern("tools/list", 1, _meta=version))
    assert error_of(refused) == (-32022, 1)
    assert refused["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2031-01-01"}


# -- messages --


@pytest.mark.behaviour("messages.malformed-is-answered")
@pytest.mark.parametrize(
    ("data", "code", "request_id"),
    [
        (b"{", -32700, None),
        (b'"\xff"', -32700, None),
        (b"[]", -32600, None),
        (b"7", -32600, None),
        (b'{"jsonrpc":"1.0","id":5,"method":"ping"}', -32600, 5),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":6,"method":7}', -32600, 6),
        (b"[" * 100 + b"]" * 100, -32700, None),
    ],
)
async def test_what_is_no_message_is_answered_and_the_channel_goes_on(dialect, data, code, request_id):
    if dialect.transport == "websocket" and b"\xff" in data:
        pytest.skip("a text frame that is no UTF-8 ends a WebSocket, see test_websocket")
    client = await dialect.open()
    assert error_of(await client.call(data)) == (code, request_id)
    assert "result" in await client.call(dialect.light(1))


@pytest.mark.behaviour("envelope.missing-key")
@pytest.mark.parametrize("key", ["protocolVersion", "clientCapabilities"])
async def test_a_missing_key_of_the_envelope_is_invalid_params(connect, raw, modern_transport, key):
    client = await connect(modern_transport)
    assert "result" in await client.call(raw.modern("tools/list", 1))
    message = raw.modern("tools/list", 2)
    del message["params"]["_meta"][f"io.modelcontextprotocol/{key}"]
    assert error_of(await client.call(message)) == (-32602, 2)
    assert "result" in await client.call(raw.modern("tools/list", 3))


@pytest.mark.behaviour("messages.ids-keep-their-type")
async def test_ids_keep_their_type_and_answers_come_as_they_are_ready(dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await client.send(dialect.message("tools/call", "1", name="add", arguments={"a": 1, "b": 1}))
    assert (await client.receive())["id"] == "1"
    client.served.workshop.release.set()
    assert (await client.receive())["id"] == 1


@pytest.mark.behaviour("messages.id-in-use")
async def test_an_id_that_is_being_served_is_refused(dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    assert error_of(await client.call(dialect.light(1))) == (-32600, 1)
    client.served.workshop.release.set()
    assert (await client.receive())["result"]["content"][0]["text"] == "released"


@pytest.mark.behaviour("messages.stray-response")
async def test_a_response_nobody_asked_for_is_dropped(dialect):
    client = await dialect.open()
    await client.send({"jsonrpc": "2.0", "id": 77, "result": {}})
    assert (await client.call(dialect.light(1)))["id"] == 1


@pytest.mark.behaviour("errors.text-stays-here")
async def test_what_a_handler_raises_is_not_told(dialect):
    client = await dialect.open()
    answer = await client.call(dialect.message("tools/call", 1, name="fail", arguments={}))
    assert answer["result"]["isError"] is True
    assert "swordfish" not in str(answer)
    assert error_of(await client.call(dialect.message("no/such", 2))) == (-32601, 2)


# -- progress, questions, changes --


@pytest.mark.behaviour("progress.before-the-answer")
async def test_progress_comes_before_the_answer_and_names_its_token(dialect):
    client = await dialect.open()
    message = dialect.message(
        "tools/call", 1, name="steps", arguments={"count": 3, "size": 1}, _meta={"progressToken": 9}
    )
    await client.send(message)
    got = [await client.receive() for _ in range(4)]
    assert [each.get("method") for each in got] == ["notifications/progress"] * 3 + [None]
    assert {each["params"]["progressToken"] for each in got[:3]} == {9}


@pytest.mark.behaviour("asking.on-the-same-channel", era="handshake")
async def test_the_server_asks_on_the_same_channel_in_the_handshake_era(connect, raw, transport):
    client = await connect(transport)
    await client.initialize(capabilities={"elicitation": {}})
    await client.send(raw.handshake("tools/call", 5, name="ask_name", arguments={}))
    question = await client.receive()
    assert question["method"] == "elicitation/create"
    await client.send(
        {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {"name": "Ada"}}}
    )
    assert (await client.receive())["result"]["content"][0]["text"] == "Ada"


async def test_numbers_of_any_size_in_an_answer_or_a_cancellation_leave_the_channel_alone(
    connect, raw, transport
):
    client = await connect(transport)
    await client.initialize()
    for number in (2**63, 2**64, -(2**64), 10**400):
        await client.send({"jsonrpc": "2.0", "id": 1, "result": {"n": number}})
        await client.send(
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        )
    assert (await client.call(raw.handshake("ping", 1)))["result"] == {}


@pytest.mark.behaviour("asking.not-answered-by-others", era="handshake")
async def test_an_answer_on_another_channel_answers_nothing(connect, raw, transport):
    client = await connect(transport)
    other = await connect(transport, client.served)
    await client.initialize(capabilities={"elicitation": {}})
    await other.initialize()
    await client.send(raw.handshake("tools/call", 5, name="ask_name", arguments={}))
    question = await client.receive()
    answer = {
        "jsonrpc": "2.0",
        "id": question["id"],
        "result": {"action": "accept", "content": {"name": "Eve"}},
    }
    await other.send(answer)
    assert (await other.call(raw.handshake("ping", 1)))["id"] == 1
    answer["result"]["content"]["name"] = "Ada"
    await client.send(answer)
    assert (await client.receive())["result"]["content"][0]["text"] == "Ada"


@pytest.mark.behaviour("listen.tagged-with-its-id")
async def test_a_change_is_told_to_those_who_shook_hands_and_listens_are_tagged(
    connect, raw, modern_transport
):
    listener = await connect(modern_transport)
    shaken = await connect(modern_transport, listener.served)
    stranger = await connect(modern_transport, listener.served)
    await shaken.initialize()
    assert "result" in await stranger.call(raw.modern("tools/list", 1))
    await listener.send(raw.modern(LISTEN, 7, notifications={"toolsListChanged": True}))
    ack = await listener.receive()
    assert ack["method"] == "notifications/subscriptions/acknowledged"
    assert ack["params"]["_meta"][SUBSCRIPTION] == 7
    await listener.send(raw.modern("tools/call", 8, name="change", arguments={"uri": "note://one"}))
    got = [await listener.receive(), await listener.receive()]
    change = next(each for each in got if "method" in each)
    assert change["method"] == "notifications/tools/list_changed"
    assert change["params"]["_meta"][SUBSCRIPTION] == 7
    assert (await shaken.receive())["method"] == "notifications/tools/list_changed"
    assert (await stranger.call(raw.modern("tools/list", 2)))["id"] == 2, "nobody else hears of it"


# -- cancellation and the end of a client --


@pytest.mark.behaviour("cancel.by-notification")
async def test_a_cancelled_request_stops_and_is_never_answered(dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    workshop = client.served.workshop
    await asyncio.wait_for(workshop.started.wait(), 10)
    for stray in ("1", True, 1.0, None, 99):
        params = {"requestId": stray}
        await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
    assert (await client.call(dialect.light(2)))["id"] == 2
    assert not workshop.cancelled.is_set()
    await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    await asyncio.wait_for(workshop.cancelled.wait(), 10)
    assert (await client.call(dialect.light(3)))["id"] == 3
    assert client.served.outcomes("tools/call") == {"cancelled": 1}


@pytest.mark.behaviour("listen.cancelled-by-notification")
async def test_a_cancelled_subscription_is_over_without_a_result(connect, raw, modern_transport):
    client = await connect(modern_transport)
    await client.send(raw.modern(LISTEN, 7, notifications={"toolsListChanged": True}))
    await client.receive()
    await raw.until(lambda: client.served.runtime.counts().streams == 1)
    await client.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}})
    await raw.until(lambda: client.served.runtime.counts().streams == 0)
    assert (await client.call(raw.modern("tools/call", 8, name="change", arguments={"uri": "u:x"})))[
        "id"
    ] == 8


@pytest.mark.behaviour("disconnect.ends-what-runs")
async def test_a_client_that_goes_away_ends_what_it_wanted(raw, dialect):
    client = await dialect.open()
    await client.send(dialect.message("tools/call", 1, name="wait", arguments={}))
    await asyncio.wait_for(client.served.workshop.started.wait(), 10)
    await client.close()
    await asyncio.wait_for(client.served.workshop.cancelled.wait(), 10)
    await raw.until(lambda: client.served.runtime.counts().in_flight == 0)
    await raw.until(lambda: len(client.served.runtime.channels) == 0)


@pytest.mark.behaviour("metrics.by-transport-and-era")
async def test_requests_are_counted_by_transport_and_era(dialect):
    client = await dialect.open()
    await client.call(dialect.message("prompts/list", 1))
    rows = client.served.meter.snapshot()["requests"]
    assert ["prompts/list", dialect.era, dialect.transport, "ok", 1] in rows
