"""What a worker with too much to do says to new work, and a client to its calls of tools."""

import asyncio
import json

import pytest

from erlmcp.transports.runtime import TCP

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")
LIMIT_S = 30.0
ADD = {"name": "add", "arguments": {"a": 1, "b": 2}}
COMPLETE = {"ref": {"type": "ref/prompt", "name": "none"}, "argument": {"name": "a", "value": ""}}


async def tcp(served, raw):
    if not hasattr(served, "tcp_sock"):
        served.tcp_sock = raw.listening_socket()
        served.runtime.listen(served.tcp_sock, TCP)
    return await asyncio.open_connection("127.0.0.1", served.tcp_sock.getsockname()[1], ssl=served.tls)


async def say(stream, message):
    reader, writer = stream
    writer.write(json.dumps(message).encode() + b"\n")
    async with asyncio.timeout(LIMIT_S):
        return json.loads(await reader.readline())


async def post(client, raw, method, **params):
    message = raw.modern(method, **params)
    return await client.call(message, headers=raw.modern_headers(message))


def shed(served):
    served.runtime._service.shedding.active = True


async def test_new_work_is_refused_over_http_with_a_time_and_what_costs_nothing_is_answered(serve, raw):
    served = await serve()
    client = await served.connect()
    for _ in range(2):  # the head is known from now on
        assert (await post(client, raw, "tools/call", **ADD)).status == 200
    shed(served)
    for _ in range(2):
        reply = await post(client, raw, "tools/call", **ADD)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert (reply.json["id"], reply.json["error"]["code"]) == (1, -31503)
    assert (await post(client, raw, "server/discover")).status == 200
    assert served.rejected("shed") == 2


async def test_a_session_may_still_be_pinged_and_ended(serve, raw):
    served = await serve()
    session = await served.initialize()
    shed(served)
    assert (await served.session_call(session, raw.handshake("tools/call", **ADD))).status == 503
    assert (await served.session_call(session, raw.handshake("ping"))).status == 200
    assert (await served.delete(session)).status == 200


async def test_new_work_is_refused_on_a_channel_that_lives(serve, raw):
    served = await serve()
    stream = await tcp(served, raw)
    assert "result" in await say(stream, raw.modern("tools/call", **ADD))
    shed(served)
    assert (await say(stream, raw.modern("tools/call", **ADD)))["error"]["code"] == -31503
    assert "result" in await say(stream, raw.modern("server/discover"))
    stream[1].transport.abort()


async def test_real_overload_is_shed_and_ends_with_its_cause(serve, raw):
    """Slow: the worker must be late for a while before it believes that it has too much to do."""
    served = await serve("busy.py:server", limits={"shed_lag_s": 0.05, "shed_after_s": 0.2})
    stop = asyncio.Event()

    async def press():
        client = await served.connect()
        while not stop.is_set():
            assert (await post(client, raw, "tools/call", name="burn", arguments={})).status in (200, 503)
        client.close()

    pressing = [asyncio.create_task(press()) for _ in range(32)]
    await raw.until(lambda: served.rejected("shed") > 0)
    client = await served.connect()
    assert (await post(client, raw, "server/discover")).status == 200
    stop.set()
    await asyncio.gather(*pressing)
    await raw.until(lambda: not served.runtime._service.shedding.active)
    assert (await post(client, raw, "tools/call", name="burn", arguments={})).status == 200


async def test_one_busy_client_alone_is_no_overload(serve, raw):
    served = await serve("busy.py:server", limits={"shed_lag_s": 5.0, "shed_after_s": 0.2})
    client = await served.connect()
    for _ in range(50):
        assert (await post(client, raw, "tools/call", name="burn", arguments={})).status == 200


LIMITED = {"calls_per_s": 0.001, "calls_burst": 3, "loopback": True}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", ADD),
        ("tools/call", {"name": "colour", "arguments": {}}),
        ("tools/call", {"name": "fail", "arguments": {}}),
        ("completion/complete", COMPLETE),
    ],
)
async def test_calls_beyond_their_rate_are_429_with_a_time_however_they_are_served(
    serve, raw, method, params
):
    served = await serve(limits=LIMITED)
    client = await served.connect()
    for number in range(5):
        reply = await post(client, raw, method, **params)
        if number < 3:
            assert reply.status != 429
        else:
            assert (reply.status, reply.headers["retry-after"]) == (429, "1000")
            assert (reply.json["id"], reply.json["error"]["code"]) == (1, -31429)
    assert served.rejected("rate") == 2
    assert (await post(client, raw, "tools/list")).status == 200, "it is no call"


async def test_calls_in_a_session_and_on_a_channel_count_together_as_those_of_one_client(serve, raw):
    served = await serve(limits=LIMITED)
    session = await served.initialize()
    stream = await tcp(served, raw)
    assert "result" in await say(stream, raw.modern("tools/call", **ADD))
    for status in (200, 200, 429):
        assert (await served.session_call(session, raw.handshake("tools/call", **ADD))).status == status
    answer = await say(stream, raw.modern("tools/call", **ADD))
    assert (answer["error"]["code"], answer["error"]["data"]) == (-31429, {"retryAfterS": 1000})
    stream[1].transport.abort()


async def test_in_a_batch_each_call_counts(serve, raw):
    served = await serve(limits=LIMITED)
    session = await served.initialize("2025-03-26")
    batch = [raw.handshake("tools/call", number, **ADD) for number in range(5)]
    answers = (await served.session_call(session, batch, "2025-03-26")).json
    assert sorted("error" in each for each in answers) == [False] * 3 + [True] * 2


async def test_this_machine_is_not_limited_unless_that_is_asked_for(serve, raw):
    served = await serve(limits={**LIMITED, "loopback": False})
    client = await served.connect()
    for _ in range(10):
        assert (await post(client, raw, "tools/call", **ADD)).status == 200


async def test_calls_are_limited_without_being_asked_to(serve):
    served = await serve()
    limits = served.runtime._service.settings.limits
    assert (limits.calls_per_s, limits.calls_burst) == (1_000, 2_000)
    judge = served.runtime._service.rate_limit
    assert [bool(judge.call_wait_s("192.0.2.1")) for _ in range(2_300)].count(True) > 0
