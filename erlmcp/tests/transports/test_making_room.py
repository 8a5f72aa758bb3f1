"""A worker that holds as many connections as it may closes one that nobody waits at for one that comes."""

import asyncio

import pytest

from erlmcp.transports import making_room
from erlmcp.transports.making_room import MakingRoom, Quiet

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")
PLAIN = b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def at_once(monkeypatch):
    """No connection need have been quiet for long."""
    monkeypatch.setattr(making_room, "QUIET_S", 0.0)
    monkeypatch.setattr(making_room, "LOOK_EVERY_S", 0.0)


async def ask(client):
    await client.send(PLAIN)
    return (await client.reply()).status


@pytest.mark.usefixtures("at_once")
@pytest.mark.behaviour("limits.room", transport="http", era="any")
async def test_a_connection_that_never_asked_makes_room_before_one_that_did(serve):
    served = await serve(http={"max_connections": 3})
    asked, silent, dripping = [await served.connect() for _ in range(3)]
    assert await ask(asked) == 404
    await dripping.send(b"GET /mcp HT")
    newcomers = [await served.connect() for _ in range(2)]
    assert [await ask(client) for client in newcomers] == [404, 404]
    assert (await silent.rest(), await dripping.rest()) == (b"", b"")
    assert await ask(asked) == 404
    assert served.rejected("made-room") == 2
    assert served.runtime.counts().connections == 3


@pytest.mark.usefixtures("at_once")
@pytest.mark.behaviour("limits.room", transport="http", era="any")
async def test_of_those_that_asked_the_one_idle_for_longest_makes_room(serve, raw):
    served = await serve(http={"max_connections": 2})
    first, second = await served.connect(), await served.connect()
    loop = asyncio.get_running_loop()
    for client in (first, second, first):
        asked_at = loop.time()
        assert await ask(client) == 404
        await raw.until(lambda then=asked_at: loop.time() > then + 0.002)  # it counts whole milliseconds
    assert await ask(await served.connect()) == 404
    assert await second.rest() == b""
    assert await ask(first) == 404


@pytest.mark.usefixtures("at_once")
@pytest.mark.behaviour("limits.room", transport="http", era="any")
async def test_neither_a_running_call_nor_a_stream_makes_room(serve, raw):
    served = await serve(http={"max_connections": 2})
    calling, listening = await served.connect(), await served.connect()
    message = raw.modern("tools/call", name="wait")
    await calling.post(message, headers=raw.modern_headers(message))
    asked = raw.modern("subscriptions/listen", 2, notifications={"toolsListChanged": True})
    await listening.post(asked, headers=raw.modern_headers(asked))
    assert (await listening.head()).status == 200
    await asyncio.wait_for(served.workshop.started.wait(), 10)
    assert await (await served.connect()).rest() == b""
    assert (served.rejected("made-room"), served.rejected("connections")) == (0, 1)
    served.workshop.release.set()
    assert (await calling.reply()).status == 200


@pytest.mark.behaviour("limits.room", transport="http", era="any")
async def test_a_connection_that_has_only_just_come_makes_no_room(serve, monkeypatch):
    monkeypatch.setattr(making_room, "QUIET_S", 3_600.0)
    served = await serve(http={"max_connections": 1})
    first = await served.connect()
    assert await (await served.connect()).rest() == b""
    assert served.rejected("connections") == 1
    assert await ask(first) == 404


class Clock:
    """The time of a loop, as far as a test lets it go on."""

    def __init__(self):
        self.now = 100.0

    def time(self):
        return self.now


class Held:
    """A connection, as far as ``MakingRoom`` knows one."""

    def __init__(self, quiet):
        self.quiet = quiet


@pytest.fixture
def crowd():
    """A clock, connections in no order, and who was closed."""
    clock, closed, everyone = Clock(), [], []
    room = MakingRoom(clock, lambda: everyone, lambda each: each.quiet, closed.append)
    return clock, everyone, closed, room


def test_they_are_closed_in_the_order_of_their_kind_and_their_time(crowd):
    _, everyone, closed, room = crowd
    kept_old, kept_new = Held(Quiet(True, 1.0)), Held(Quiet(True, 2.0))
    silent_old, silent_new = Held(Quiet(False, 5.0)), Held(Quiet(False, 6.0))
    everyone += [kept_new, silent_new, kept_old, silent_old]
    assert [room.make() for _ in range(5)] == [True] * 4 + [False]
    assert closed == [silent_old, silent_new, kept_old, kept_new]


def test_one_that_was_used_since_it_was_looked_at_stays(crowd):
    _, everyone, closed, room = crowd
    first, second, third = (Held(Quiet(True, float(n))) for n in range(3))
    everyone += [first, second, third]
    assert room.make()
    second.quiet = Quiet(True, 99.5)
    assert room.make()
    assert closed == [first, third]


def test_all_are_looked_at_no_more_than_once_a_second(crowd):
    clock, everyone, _, room = crowd
    assert not room.make()
    everyone.append(Held(Quiet(False, 1.0)))
    clock.now += making_room.LOOK_EVERY_S - 0.01
    assert not room.make()
    clock.now += 0.01
    assert room.make()


@pytest.mark.parametrize(
    ("age_s", "makes"), [(making_room.QUIET_S, True), (making_room.QUIET_S - 0.01, False)]
)
def test_only_who_has_been_quiet_for_a_second_makes_room(crowd, age_s, makes):
    clock, everyone, _, room = crowd
    everyone.append(Held(Quiet(False, clock.now - age_s)))
    assert room.make() is makes


def test_those_that_are_gone_are_not_held(crowd):
    _, everyone, closed, room = crowd
    everyone += [Held(Quiet(True, float(n))) for n in range(3)]
    assert room.make()
    everyone.clear()
    closed.clear()
    assert not room.make()
