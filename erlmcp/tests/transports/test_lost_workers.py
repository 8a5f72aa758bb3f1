"""What a worker does when another one has died, or when something between them was lost."""

import asyncio
import json

import pytest

from erlmcp.sessions import asking
from erlmcp.sessions.bus import BUS_GAP, STREAM_PIECE, WORKER_GONE, BusEvent, LocalBus
from erlmcp.transports.streamable_http import get_streams

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:The logging capability is deprecated")]

VERSION = "2025-11-25"
ROOTS = {"roots": {}}


class LossyBus(LocalBus):
    """Loses the events that a test names."""

    def __init__(self) -> None:
        super().__init__()
        self.loses = lambda event: False

    def publish(self, event: BusEvent) -> None:
        if not self.loses(event):
            super().publish(event)


@pytest.fixture
async def pair(serve):
    bus = LossyBus()
    first, second = [
        await serve("workshop.py:fresh", bus=bus, worker=f"host:{number}") for number in range(2)
    ]
    return bus, first, second


async def data_of(client):
    """The messages of an event stream, and the last event id."""
    text = b"".join([piece async for piece in client.chunks()]).decode()
    lines = text.splitlines()
    messages = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    ids = [line[4:] for line in lines if line.startswith("id: ")]
    return messages, ids[-1] if ids else ""


async def away(first, raw, session):
    """A running call whose client has been sent away; the id to come back with."""
    client = await first.connect()
    call = raw.handshake("tools/call", "c", name="poll", arguments={}, _meta={"progressToken": "p"})
    await client.post(call, headers={"mcp-session-id": session})
    await client.head()
    return (await data_of(client))[1]


async def back(served, session, last):
    client = await served.connect()
    await client.send(
        f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Mcp-Session-Id: {session}\r\nLast-Event-ID: {last}\r\n\r\n".encode()
    )
    assert (await client.head()).status == 200
    return client


@pytest.mark.parametrize(("gone", "lost"), [("host:0", True), ("host:", True), ("host:1", False)])
async def test_only_the_calls_of_workers_that_have_died_are_lost(pair, raw, gone, lost):
    bus, first, second = pair
    session = await first.initialize(VERSION)
    client = await back(second, session, await away(first, raw, session))
    bus.publish(BusEvent(WORKER_GONE, gone))
    first.workshop.release.set()
    messages, _ = await data_of(client)
    if lost:
        (message,) = messages
        assert message["error"]["data"] == {"cause": "worker-died"}
        assert message["id"] == "c"
    else:
        assert messages[-1]["result"]["content"][0]["text"] == "polled"


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_lost_piece_sends_the_client_back_for_it_instead_of_leaving_a_hole(pair, raw, which):
    bus, first, second = pair
    session = await first.initialize(VERSION)
    last = await away(first, raw, session)
    pieces = []

    def loses(event):
        if event.kind == STREAM_PIECE:
            pieces.append(event)
        return event.kind == STREAM_PIECE and len(pieces) - 1 == which

    bus.loses = loses
    client = await back(second, session, last)
    first.workshop.release.set()
    messages, seen = await data_of(client)
    assert "result" not in json.dumps(messages), "what follows a lost piece is not shown"
    bus.loses = lambda event: False
    again = await back(second, session, seen or last)
    more, _ = await data_of(again)
    said = [each["params"]["message"] for each in messages + more if "params" in each]
    assert said == ["back"]
    assert more[-1]["result"]["content"][0]["text"] == "polled"


async def test_when_changes_may_have_been_missed_a_session_is_told_of_all_that_it_wants(pair, raw):
    bus, first, second = pair
    session, other = await first.initialize(VERSION), await first.initialize(VERSION)
    await first.session_call(session, raw.handshake("resources/subscribe", uri="note://one"))
    streams = [(await second.get_stream(each))[0].events() for each in (session, other)]
    bus.publish(BusEvent(BUS_GAP))
    lists = ["prompts/list_changed", "resources/list_changed", "tools/list_changed"]
    for events, more in zip(streams, (["resources/updated"], []), strict=True):
        told = [(await anext(events))["method"] for _ in range(3 + len(more))]
        assert sorted(each.removeprefix("notifications/") for each in told) == sorted(lists + more)


async def test_a_stream_from_elsewhere_begins_anew_when_pieces_may_have_been_missed(pair, raw):
    bus, first, second = pair
    session = await first.initialize(VERSION)
    last = await away(first, raw, session)
    client = await back(second, session, last)
    bus.publish(BusEvent(BUS_GAP))
    messages, _ = await data_of(client)
    assert messages == []
    again = await back(second, session, last)
    first.workshop.release.set()
    messages, _ = await data_of(again)
    assert messages[-1]["result"]["content"][0]["text"] == "polled"


async def ask_roots(served, raw, session):
    caller = await served.connect()
    await caller.post(raw.handshake("tools/call", name="count_roots"), headers={"mcp-session-id": session})
    return caller


async def talkers(serve):
    bus = LossyBus()
    return bus, *[await serve("talkative.py:server", bus=bus, worker=f"host:{n}") for n in range(2)]


async def test_a_client_without_a_stream_cannot_be_asked_and_nobody_waits_long(serve, raw, monkeypatch):
    monkeypatch.setattr(asking, "TAKEN_WITHIN_S", 0.1)
    _, first, _ = await talkers(serve)
    session = await first.initialize(VERSION, ROOTS)
    reply = await (await ask_roots(first, raw, session)).reply()
    assert "no open stream" in json.dumps(reply.json)
    assert first.runtime.counts().in_flight == 0


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_question_waits_a_moment_for_the_client_to_open_its_stream(serve, raw, worker):
    _, *served = await talkers(serve)
    session = await served[0].initialize(VERSION, ROOTS)
    caller = await ask_roots(served[0], raw, session)
    await raw.until(lambda: served[0].runtime.counts().in_flight == 1)
    client, _ = await served[worker].get_stream(session)
    question = await anext(client.events())
    assert question["method"] == "roots/list"
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}
    assert (await served[1].session_call(session, answer)).status == 202
    assert (await caller.reply()).json["result"]["content"][0]["text"] == "0"


async def test_a_question_is_lost_with_the_worker_that_has_the_stream_and_with_no_other(serve, raw):
    bus, first, second = await talkers(serve)
    session = await first.initialize(VERSION, ROOTS)
    client, _ = await second.get_stream(session)
    caller = await ask_roots(first, raw, session)
    assert (await anext(client.events()))["method"] == "roots/list"
    bus.publish(BusEvent(WORKER_GONE, "host:0"))
    bus.publish(BusEvent(WORKER_GONE, "other:"))
    await asyncio.sleep(0)  # what was published is delivered by now
    assert first.runtime.counts().in_flight == 1
    bus.publish(BusEvent(WORKER_GONE, "host:1"))
    assert "has died" in json.dumps((await caller.reply()).json)


async def test_what_is_said_while_a_lost_stream_is_looked_for_is_said_when_it_begins_anew(
    serve, raw, monkeypatch
):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.3)
    _, first, second = await talkers(serve)
    session = await first.initialize(VERSION)
    client = await first.connect()
    await client.send(
        f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Mcp-Session-Id: {session}\r\nLast-Event-ID: s{'0' * 16}-7\r\n\r\n".encode()
    )
    await raw.until(lambda: first.runtime._handshake._streams._wanted)
    say = raw.handshake("tools/call", name="say", arguments={"text": "meanwhile"})
    assert (await second.session_call(session, say)).status == 200
    assert (await client.head()).status == 200
    assert (await anext(client.events()))["params"]["data"] == "meanwhile"
