"""The demo's client counts what it must: nearly every test breaks one thing and sees it counted."""

from __future__ import annotations

import asyncio
import json

import pytest
from demo.calls import Call, judge_answer, modern_request, seed_title
from demo.client import Caller, HandshakeCaller, Traffic, running
from demo.subscription import Subscription
from demo.tally import Tally
from demo.waiting import until
from demo.wire import Connection, WireError, events
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler

from notes.store import NoteStore

HOST = "127.0.0.1"
pytestmark = pytest.mark.anyio
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PING = Call("list tools", "tools/list")


async def counted(port: int, *, calls: int) -> Tally:
    """What the client counts in about ``calls`` calls."""
    tally = Tally()
    traffic = Traffic(HOST, port, tally, calls_per_s=400, workers=4)
    seeds = await traffic.prepare()
    async with running(traffic, seeds):
        await until(lambda: tally.calls >= calls, timeout_s=20)
    return tally


def kinds(tally: Tally) -> set[tuple[str, str]]:
    return {(failure.call, failure.kind) for failure in tally.failures}


async def test_a_right_server_gets_no_failed_call_in_either_era(notes_over_http):
    async with notes_over_http() as (_, port):
        tally = await counted(port, calls=150)
    assert tally.failures == []
    assert min(tally.by_era["modern"], tally.by_era["handshake"]) > 40
    assert set(tally.by_release) == {"1.1.0"}
    assert tally.sessions >= 2


async def test_a_wrong_answer_is_counted_though_it_is_well_formed(notes_over_http, monkeypatch):
    right = NoteStore.search
    monkeypatch.setattr(
        NoteStore, "search", lambda self, query, **how: right(self, query, tag=how["tag"], limit=4)
    )
    async with notes_over_http() as (_, port):
        tally = await counted(port, calls=60)
    assert kinds(tally) == {("search_notes", "wrong-answer")}
    assert seed_title(0).split()[0] in tally.failures[0].reason


async def test_an_answer_with_another_notes_text_is_counted(notes_over_http, monkeypatch):
    right = NoteStore.get
    monkeypatch.setattr(
        NoteStore, "get", lambda self, note_id: right(self, note_id).model_copy(update={"body": "?"})
    )
    async with notes_over_http() as (_, port):
        tally = await counted(port, calls=60)
    assert kinds(tally) == {("read note", "wrong-answer")}


async def test_the_bad_release_says_of_itself_that_it_failed(notes_over_http):
    async with notes_over_http("1.2.0") as (_, port):
        tally = await counted(port, calls=400)
    assert kinds(tally) == {("search_notes", "rpc-error")}
    assert {failure.answered_by for failure in tally.failures} == {"1.2.0"}
    assert {failure.era for failure in tally.failures} == {"modern", "handshake"}


async def test_a_connection_that_is_closed_without_an_answer_is_counted_once_and_never_retried(raw_server):
    requests = []

    async def close(reader, writer):
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with raw_server(close) as port:
        tally = Tally()
        assert await Caller(HOST, port, tally).ask(PING) is None
    assert [failure.kind for failure in tally.failures] == ["closed"]
    assert (tally.calls, len(requests)) == (1, 1)


async def test_a_refused_connection_is_counted(raw_server):
    async with raw_server(lambda *_: asyncio.sleep(0)) as port:
        pass
    tally = Tally()
    await Caller(HOST, port, tally).ask(PING)
    assert [failure.kind for failure in tally.failures] == ["refused"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", "status"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"jsonrpc"', "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "framing"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "framing"),
        (b"SMTP ready\r\n\r\n", "framing"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{"jsonrpc":"2.0","id":9,"result":{}}', "status"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"jsonrpc":"2.0","id":1}', "wrong-answer"),
        (
            STREAM + b"0\r\n\r\n",
            "cut",
        ),
    ],
)
async def test_a_broken_answer_is_counted_by_what_is_broken(raw_server, answer, kind):
    async def say(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with raw_server(say) as port:
        tally = Tally()
        await Caller(HOST, port, tally).ask(PING)
    assert [failure.kind for failure in tally.failures] == [kind]


async def test_a_session_that_is_lost_fails_every_call_in_it(notes_over_http):
    async with notes_over_http() as (_, port):
        tally = Tally()
        caller = HandshakeCaller(HOST, port, tally)
        await caller.begin()
        assert await caller.ask(PING) is not None
        caller._session = "another"
        assert await caller.ask(PING) is None
        caller.leave()
    assert [failure.kind for failure in tally.failures] == ["status"]


async def test_a_kept_connection_that_the_server_closed_is_replaced_before_a_request_is_sent(raw_server):
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{"jsonrpc":"2.0","id":%d,"result":{}}'

    async def one_answer_each(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        number = json.loads(await reader.readexactly(size))["id"]
        writer.write(answer % (36, number))
        await writer.drain()
        writer.close()

    async with raw_server(one_answer_each) as port:
        tally = Tally()
        caller = Caller(HOST, port, tally)
        for _ in range(3):
            assert await caller.ask(PING) is not None
            await until(lambda: not caller._connection.usable, timeout_s=5)
    assert tally.failures == []
    assert tally.connections == 3


@given(st.lists(st.integers(min_value=1, max_value=9), max_size=40))
def test_events_are_the_same_however_the_stream_is_cut(cuts):
    stream = b': hello\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata: one\ndata: two\n\n: ping\n\ndata:3\n\n'

    async def pieces():
        rest = stream
        for cut in cuts:
            piece, rest = rest[:cut], rest[cut:]
            yield piece
        yield rest

    async def read():
        return [event async for event in events(pieces())]

    assert asyncio.run(read()) == ['{"a": 1}', "one\ntwo", "3"]


def subscribed(port: int, tally: Tally, **options) -> Subscription:
    return Subscription(HOST, port, tally, **{"change_every_s": 0.01, "cover_timeout_s": 0.5, **options})


async def test_every_change_is_covered_on_a_stream_that_stays_open(notes_over_http):
    async with notes_over_http() as (_, port):
        tally = Tally()
        subscription = subscribed(port, tally)
        await subscription.start()
        await until(lambda: tally.changes_made >= 20, timeout_s=10)
        await subscription.stop()
    assert tally.changes_lost == []
    assert tally.notifications >= 20
    assert tally.failures == []
    assert tally.streams_cut == []


async def test_a_stream_that_ends_with_its_final_result_is_opened_again_and_no_change_is_lost(
    notes_over_http,
):
    async with notes_over_http() as (server, port):
        handler = server._lowlevel_server.get_request_handler("subscriptions/listen").handler
        assert isinstance(handler, ListenHandler)
        tally = Tally()
        subscription = subscribed(port, tally)
        await subscription.start()
        for ended in range(1, 4):
            await until(lambda ended=ended: tally.changes_made >= 5 * ended, timeout_s=10)
            handler.close()
            await until(lambda ended=ended: tally.streams_ended == ended, timeout_s=10)
        await subscription.stop()
    assert (tally.streams_cut, tally.changes_lost) == ([], [])
    assert tally.streams_opened == 4


async def test_a_dropped_notification_is_a_lost_change(notes_over_http, monkeypatch):
    right, seen = InMemorySubscriptionBus.publish, []

    async def forgetful(self, event):
        seen.append(event)
        if len(seen) % 7:
            await right(self, event)

    monkeypatch.setattr(InMemorySubscriptionBus, "publish", forgetful)
    async with notes_over_http() as (_, port):
        tally = Tally()
        subscription = subscribed(port, tally, cover_timeout_s=0.2)
        await subscription.start()
        await until(lambda: tally.changes_made >= 10, timeout_s=10)
        await subscription.stop()
    assert tally.changes_lost


async def test_a_stream_that_just_ends_is_counted_as_cut(raw_server):
    first = Call("listen", "subscriptions/listen")
    async with raw_server(_says_then_closes(STREAM + b"0\r\n\r\n")) as port:
        connection = await Connection.open(HOST, port)
        answer = await connection.send("POST", "/mcp", *modern_request(first, "listen-1"))
        assert [event async for event in events(connection.chunks(answer))] == []
        tally = Tally()
        subscription = Subscription(HOST, port, tally)
        with pytest.raises(WireError, match="without its final result"):
            await subscription._listen_once("listen-1")


def _says_then_closes(answer: bytes):
    async def say(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return say


@pytest.mark.parametrize(
    "message",
    [
        {"method": "notifications/resources/updated", "params": {"uri": "note://x"}},
        {"id": "listen-1", "error": {"code": -32603, "message": "no"}},
        {"id": "listen-1", "result": {}},
        {"method": "notifications/subscriptions/acknowledged", "params": {"notifications": {}}},
    ],
)
async def test_a_stream_that_says_the_wrong_thing_is_refused(raw_server, message):
    event = f"data: {json.dumps(message)}\n\n".encode()
    answer = STREAM + f"{len(event):x}\r\n".encode() + event + b"\r\n0\r\n\r\n"
    async with raw_server(_says_then_closes(answer)) as port:
        subscription = Subscription(HOST, port, Tally())
        subscription._uri = "note://x"
        with pytest.raises(WireError):
            await subscription._listen_once("listen-1")


async def test_a_service_that_cannot_even_create_a_note_stops_the_demo_at_once(raw_server):
    async with raw_server(_says_then_closes(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")) as port:
        with pytest.raises(RuntimeError, match="cannot create a note: HTTP 503"):
            await Traffic(HOST, port, Tally()).prepare()


async def test_an_error_without_a_release_in_it_is_nobodys():
    message = {"error": {"code": -32603, "message": "internal error", "data": "text"}}
    assert judge_answer(PING, message).release == ""
