"""A client that comes back for what it has missed, at the same worker or at another one."""

import asyncio
import json

import pytest

from erlmcp.sessions.bus import LocalBus
from erlmcp.transports.streamable_http import get_streams

pytestmark = pytest.mark.anyio

PRIMED = "2025-11-25"
OLDER = "2025-06-18"


class Event:
    """One server-sent event, or a block that only sets the time to wait."""

    def __init__(self, block: str) -> None:
        fields = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
        self.id = next((value.strip() for name, _, value in fields if name == "id"), None)
        self.retry = next((int(value) for name, _, value in fields if name == "retry"), None)
        self.data = next((value.strip() for name, _, value in fields if name == "data"), None)
        self.is_comment = not fields

    @property
    def said(self) -> str:
        """What a message says in the tests of this file."""
        message = json.loads(self.data)
        if "result" in message:
            return message["result"]["content"][0]["text"]
        params = message.get("params", {})
        return params.get("message") or params.get("data") or message["method"]


async def events(client):
    buffer = ""
    async for piece in client.chunks():
        buffer += piece.decode()
        while "\n\n" in buffer:
            block, _, buffer = buffer.partition("\n\n")
            event = Event(block)
            if not event.is_comment:
                yield event


async def said_on(client):
    return [event.said async for event in events(client) if event.data]


class Workers:
    """Two workers that share a bus, and one session."""

    def __init__(self, served, session, raw, version):
        self.served = served
        self.session = session
        self._raw = raw
        self._version = version

    async def begin(self, tool, worker=0, request_id=1, **arguments):
        """Call a tool that streams; the events of its answer."""
        client = await self.served[worker].connect()
        message = self._raw.handshake(
            "tools/call", request_id, name=tool, arguments=arguments, _meta={"progressToken": "p"}
        )
        headers = {"mcp-session-id": self.session, "mcp-protocol-version": self._version}
        await client.post(message, headers=headers)
        assert (await client.head()).headers["content-type"] == "text/event-stream"
        return client

    async def back(self, last_event_id, worker=0, session=None):
        """Come back with the id of the last event."""
        client = await self.served[worker].connect()
        await client.send(
            f"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
            f"Mcp-Session-Id: {session or self.session}\r\nLast-Event-ID: {last_event_id}\r\n\r\n".encode()
        )
        return client, await client.head()

    async def say(self, text, worker=0):
        call = self._raw.handshake("tools/call", name="say", arguments={"text": text})
        assert (await self.served[worker].session_call(self.session, call)).status == 200


@pytest.fixture
def workers(serve, raw):
    async def start(version=PRIMED, guest="workshop.py:fresh", bus=None, buses=None, **options):
        shared = LocalBus()
        served = [await serve(guest, bus=each, **options) for each in (buses or (shared, shared))]
        session = await served[0].initialize(version, {"elicitation": {}})
        return Workers(served, session, raw, version)

    return start


@pytest.mark.behaviour("resume.at-any-worker", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_handler_closes_the_connection_and_the_client_comes_back_to_any_worker(workers, worker):
    pair = await workers(mcp={"resume_retry_s": 0.25})
    client = await pair.begin("poll")
    seen = [event async for event in events(client)]
    assert (seen[0].data, seen[0].retry, bool(seen[0].id)) == ("", 250, True)
    assert [event.said for event in seen if event.data] == ["go"]
    assert seen[-1].retry == 250
    back, head = await pair.back(seen[1].id, worker)
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
    assert pair.served[worker].runtime.counts().streams == 1
    pair.served[0].workshop.release.set()
    assert await said_on(back) == ["back", "polled"]
    assert sum(each.runtime.counts().streams for each in pair.served) == 0


@pytest.mark.behaviour("resume.from-the-priming-event", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_the_priming_event_alone_brings_back_everything_also_when_the_call_is_over(workers, worker):
    pair = await workers()
    client = await pair.begin("poll")
    seen = [event async for event in events(client)]
    pair.served[0].workshop.release.set()
    for _ in range(2):
        back, _ = await pair.back(seen[0].id, worker)
        assert await said_on(back) == ["go", "back", "polled"]


@pytest.mark.behaviour("resume.older-is-not-primed", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_client_of_an_older_revision_is_not_primed_and_can_come_back(workers, worker):
    pair = await workers(OLDER)
    client = await pair.begin("poll")
    stream = events(client)
    first = await anext(stream)
    assert (first.said, first.retry) == ("go", None)
    await asyncio.wait_for(pair.served[0].workshop.started.wait(), 5)  # it has no way to close the stream
    client.close()
    back, _ = await pair.back(first.id, worker)
    pair.served[0].workshop.release.set()
    found = [event async for event in events(back)]
    assert [event.said for event in found] == ["back", "polled"]
    assert all(event.data for event in found), "older clients take an event without data for a broken one"


@pytest.mark.behaviour("resume.only-its-own-stream", transport="http", era="handshake")
async def test_ids_are_unique_over_the_streams_of_a_session_and_each_replays_only_its_own(workers):
    pair = await workers()
    clients = [await pair.begin("poll", request_id=number) for number in (1, 2)]
    seen = [[event async for event in events(client)] for client in clients]
    ids = [event.id for each in seen for event in each if event.id]
    assert len(set(ids)) == len(ids) == 4
    pair.served[0].workshop.release.set()
    back, _ = await pair.back(seen[1][1].id)
    answers = [json.loads(event.data) async for event in events(back) if event.data]
    assert answers[-1]["id"] == 2
    assert len(answers) == 2


@pytest.mark.behaviour("resume.not-for-others", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_another_session_cannot_read_the_stream(workers, worker, monkeypatch):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.05)
    pair = await workers()
    seen = [event async for event in events(await pair.begin("poll"))]
    stranger = await pair.served[0].initialize()
    _, head = await pair.back(seen[0].id, worker, session=stranger)
    assert head.status == 400
    _, head = await pair.back(seen[0].id, worker)
    assert head.status == 200, "the owner can"


async def test_without_a_shared_bus_another_worker_knows_nothing_of_the_stream(workers, monkeypatch):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.05)
    pair = await workers(buses=(LocalBus(), LocalBus()))
    seen = [event async for event in events(await pair.begin("poll"))]
    _, head = await pair.back(seen[0].id, 1)
    assert head.status == 400
    _, head = await pair.back(seen[0].id, 0)
    assert head.status == 200


@pytest.mark.behaviour("resume.unknown-event", transport="http", era="handshake")
@pytest.mark.parametrize("wrong", ["nonsense", f"c{'0' * 16}-1", f"c{'0' * 16}--1", "c-1"])
async def test_an_id_that_is_not_kept_is_refused_in_words(workers, wrong, monkeypatch):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.05)
    pair = await workers()
    _, head = await pair.back(wrong)
    assert head.status == 400
    assert pair.served[0].runtime.counts().streams == 0


@pytest.mark.behaviour("limits.kept-events", transport="http", era="handshake")
async def test_what_is_too_old_or_was_too_much_is_not_kept(workers, raw, monkeypatch):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.05)
    pair = await workers(mcp={"resume_max_bytes": 1024})
    client = await pair.begin("steps", count=3, size=2000)
    seen = [event async for event in events(client)]
    back, head = await pair.back(seen[0].id)
    assert (head.status, await said_on(back)) == (200, ["done"])
    pair = await workers(mcp={"resume_max_age_s": 0.05})
    seen = [event async for event in events(await pair.begin("steps", count=1, size=1))]
    await asyncio.sleep(0.1)  # the time itself is what is tested
    _, head = await pair.back(seen[0].id)
    assert head.status == 400


async def test_of_many_messages_the_latest_are_kept_and_the_answer_is_the_last(workers):
    pair = await workers(mcp={"resume_max_events": 3})
    seen = [event async for event in events(await pair.begin("steps", count=5, size=1))]
    assert len([event for event in seen if event.data]) == 6
    back, _ = await pair.back(seen[0].id)
    assert len(await said_on(back)) == 3
    back, _ = await pair.back(seen[4].id)
    assert (await said_on(back))[-1] == "done"


@pytest.mark.behaviour("resume.last-one-has-it", transport="http", era="handshake")
async def test_whoever_comes_back_last_has_the_stream(workers):
    pair = await workers()
    seen = [event async for event in events(await pair.begin("poll"))]
    clients = [(await pair.back(seen[1].id, worker))[0] for worker in (0, 1, 0, 1)]
    for lost in clients[:-1]:
        assert await said_on(lost) == []
    pair.served[0].workshop.release.set()
    assert await said_on(clients[-1]) == ["back", "polled"]


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_client_that_leaves_again_leaves_nothing_behind(workers, raw, worker):
    pair = await workers()
    seen = [event async for event in events(await pair.begin("poll"))]
    back, _ = await pair.back(seen[1].id, worker)
    assert pair.served[worker].runtime.counts().streams == 1
    back.close()
    await raw.until(lambda: pair.served[worker].runtime.counts().streams == 0)
    pair.served[0].workshop.release.set()
    back, _ = await pair.back(seen[1].id, worker)
    assert await said_on(back) == ["back", "polled"]


@pytest.mark.behaviour("resume.deleted-with-the-session", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_deleting_the_session_ends_the_stream_and_what_was_kept(workers, worker):
    pair = await workers()
    seen = [event async for event in events(await pair.begin("poll"))]
    back, _ = await pair.back(seen[1].id, worker)
    assert (await pair.served[1 - worker].delete(pair.session)).status == 200
    ending = [json.loads(event.data) async for event in events(back) if event.data]
    assert [each["error"]["code"] for each in ending] in ([-32800], [])
    _, head = await pair.back(seen[0].id, worker)
    assert head.status == 404


@pytest.mark.behaviour("asking.waits-for-a-client-away", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_question_asked_while_the_client_was_away_waits_for_it(workers, raw, worker):
    pair = await workers()
    client = await pair.begin("ask_name")
    stream = events(client)
    primed = await anext(stream)
    await anext(stream)
    client.close()
    back, _ = await pair.back(primed.id, worker)
    again = events(back)
    question = next(iter([json.loads(event.data) async for event in _first_with_data(again)]))
    assert question["method"] == "elicitation/create"
    answer = {"jsonrpc": "2.0", "id": question["id"]}
    answer["result"] = {"action": "accept", "content": {"name": "Ada"}}
    assert (await pair.served[1 - worker].session_call(pair.session, answer)).status == 202
    assert [event.said async for event in again] == ["Ada"]


async def _first_with_data(stream):
    async for event in stream:
        if event.data:
            yield event
            return


@pytest.mark.filterwarnings("ignore:The logging capability is deprecated")
@pytest.mark.parametrize("worker", [0, 1])
async def test_what_the_session_is_told_while_its_stream_is_closed_comes_when_it_is_open_again(
    workers, raw, worker
):
    pair = await workers(guest="talkative.py:server")
    client, _ = await pair.served[0].get_stream(pair.session)
    stream = events(client)
    assert (await anext(stream)).data == ""
    await pair.say("one")
    await pair.say("two")
    first = await anext(stream)
    client.close()
    await raw.until(lambda: pair.served[0].runtime.counts().streams == 0)
    await pair.say("three", worker=1)
    back, _ = await pair.back(first.id, worker)
    await pair.say("four")
    await pair.say("five", worker=1)
    found = events(back)
    told = [event.said for event in [await anext(found) for _ in range(5)] if event.data]
    assert (first.said, told) == ("one", ["two", "three", "four", "five"])
    assert [each.runtime.counts().streams for each in pair.served] == [1 - worker, worker]


@pytest.mark.filterwarnings("ignore:The logging capability is deprecated")
async def test_a_standing_stream_that_nobody_keeps_begins_anew(workers, monkeypatch):
    monkeypatch.setattr(get_streams, "ELSEWHERE_S", 0.05)
    pair = await workers(guest="talkative.py:server")
    client, head = await pair.back("s" + "0" * 16 + "-7")
    assert head.status == 200
    stream = events(client)
    assert (await anext(stream)).data == ""
    await pair.say("hello")
    assert (await anext(stream)).said == "hello"


async def test_a_standing_stream_that_is_taken_up_again_replaces_the_connection_thought_lost(workers):
    pair = await workers()
    client, _ = await pair.served[0].get_stream(pair.session)
    stream = events(client)
    primed = await anext(stream)
    _, head = await pair.served[0].get_stream(pair.session)
    assert head.status == 409, "without the id it is a second stream"
    _, head = await pair.back(primed.id)
    assert head.status == 200
    assert [event.retry async for event in stream] == [500]
    assert pair.served[0].runtime.counts().streams == 1


@pytest.mark.behaviour("drain.resumed-at-the-next-worker", transport="http", era="handshake")
async def test_a_drain_says_when_to_come_back_and_the_next_worker_has_it_all(workers, raw):
    pair = await workers()
    standing, _ = await pair.served[0].get_stream(pair.session)
    seen = [event async for event in events(await pair.begin("poll"))]
    back, _ = await pair.back(seen[1].id, 0)
    pair.served[0].runtime.begin_drain()
    for client in (standing, back):
        assert [event async for event in events(client)][-1].retry == 500
    assert pair.served[0].runtime.counts().streams == 0
    again, head = await pair.back(seen[1].id, 1)
    assert head.status == 200
    pair.served[0].workshop.release.set()
    assert await said_on(again) == ["back", "polled"]


async def test_a_handler_can_close_the_standing_stream_at_whatever_worker_it_is(workers, raw):
    pair = await workers()
    client, _ = await pair.served[1].get_stream(pair.session)
    reply = await pair.served[0].session_call(pair.session, raw.handshake("tools/call", name="part"))
    assert reply.json["result"]["content"][0]["text"] == "closed"
    assert [event.retry async for event in events(client)][-1] == 500
    assert pair.served[1].runtime.counts().streams == 0


async def test_an_older_client_is_not_expected_to_come_back_to_a_standing_stream(workers, raw):
    pair = await workers(OLDER)
    reply = await pair.served[0].session_call(pair.session, raw.handshake("tools/call", name="part"))
    assert reply.json["result"]["content"][0]["text"] == "no way"


@pytest.mark.behaviour("resume.never-modern", transport="http", era="modern")
async def test_in_the_modern_era_there_are_no_ids_and_nothing_can_be_closed(serve, raw):
    served = await serve()
    served.workshop.release.set()
    message = raw.modern("tools/call", name="poll", _meta={"progressToken": "p"})
    client = await served.connect()
    await client.post(message, headers=raw.modern_headers(message))
    await client.head()
    found = [event async for event in events(client)]
    assert [(event.said, event.id, event.retry) for event in found] == [
        ("go", None, None), ("back", None, None), ("polled", None, None)
    ]  # fmt: skip


async def test_a_plain_call_that_takes_long_is_one_to_come_back_to(workers, raw):
    pair = await workers(mcp={"ping_interval_s": 0.05})
    client = await pair.served[0].connect()
    message = raw.handshake("tools/call", 1, name="wait", arguments={})
    await client.post(message, headers={"mcp-session-id": pair.session})
    assert (await client.head()).headers["content-type"] == "text/event-stream"
    primed = await anext(events(client))
    client.close()
    back, _ = await pair.back(primed.id, 1)
    pair.served[0].workshop.release.set()
    assert await said_on(back) == ["released"]
