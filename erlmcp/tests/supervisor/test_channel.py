"""The channel: frames survive any cutting, everything is bounded, and events reach all others."""

from __future__ import annotations

import asyncio
import itertools
import socket

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.sessions.bus import REPLY, TOOLS, BusEvent
from erlmcp.sessions.outbox import MAX_WAITING_BYTES, MAX_WAITING_EVENTS, Outbox
from erlmcp.supervisor import channel as channel_module
from erlmcp.supervisor.channel import (
    MAX_FRAME_BYTES,
    Channel,
    ChannelBus,
    FrameError,
    FrameReader,
    frame,
)
from erlmcp.supervisor.messages import Command, Done, Ready, Relay, decode

MESSAGES = st.one_of(
    st.builds(Done, st.integers(0, 2**31), st.text(max_size=20)),
    st.builds(Ready, st.text(max_size=9), st.text(max_size=9), st.just("Server")),
    st.builds(
        Command, st.integers(0, 9), st.sampled_from(["listen", "stop"]), st.text(max_size=9), st.just(1.5)
    ),
)


@given(st.lists(MESSAGES, max_size=8), st.lists(st.integers(0, 200), max_size=20))
def test_frames_come_out_whole_and_in_order_however_the_bytes_are_cut(messages, cuts):
    data = b"".join(frame(message) for message in messages)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader, out = FrameReader(), []
    for start, end in itertools.pairwise(edges):
        out += reader.feed(data[start:end])
    assert [decode(each) for each in out] == messages


def test_a_frame_of_the_largest_size_is_taken_and_one_byte_more_is_refused():
    assert FrameReader().feed(MAX_FRAME_BYTES.to_bytes(4, "big")) == []
    with pytest.raises(FrameError):
        FrameReader().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_an_outbox_keeps_equal_changes_once_and_replies_apart():
    outbox = Outbox()
    for _ in range(3):
        outbox.put(b"change", mergeable=True)
        outbox.put(b"reply", mergeable=False)
    assert [outbox.take() for _ in range(5)] == [b"reply", b"reply", b"change", b"reply", None]


def test_an_outbox_drops_the_oldest_beyond_its_bounds():
    outbox = Outbox()
    for number in range(MAX_WAITING_EVENTS):
        outbox.put(str(number).encode(), mergeable=False)
    assert (len(outbox), outbox.dropped) == (MAX_WAITING_EVENTS, 0)
    outbox.put(b"newest", mergeable=False)
    assert (len(outbox), outbox.dropped, outbox.take()) == (MAX_WAITING_EVENTS, 1, b"1")
    full = Outbox()
    full.put(bytes(MAX_WAITING_BYTES), mergeable=False)
    full.put(b"x", mergeable=False)
    assert (len(full), full.dropped) == (1, 1)


class Ends:
    """Two ends of a channel and what each has heard."""

    def __init__(self) -> None:
        self.heard: list[list] = [[], []]
        self.lost = [asyncio.Event(), asyncio.Event()]
        self.ends: list[Channel] = []
        self.sockets = socket.socketpair()

    async def open(self):
        loop = asyncio.get_running_loop()
        for heard, lost, sock in zip(self.heard, self.lost, self.sockets, strict=True):
            sock.setblocking(False)
            end = Channel(heard.append, lost.set)
            await loop.create_unix_connection(lambda end=end: end, sock=sock)
            self.ends.append(end)
        return self

    async def hears(self, side, count):
        async with asyncio.timeout(5):
            while len(self.heard[side]) < count:  # noqa: ASYNC110 - what is heard is a plain list
                await asyncio.sleep(0)

    def close(self):
        for end in self.ends:
            end.close()


def _run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 20))


def test_both_ends_hear_each_other_and_learn_of_the_end():
    async def talk():
        ends = await Ends().open()
        ends.ends[0].send(Done(1))
        ends.ends[1].send(Done(2, "fault"))
        await ends.hears(0, 1)
        await ends.hears(1, 1)
        assert ends.heard == [[Done(2, "fault")], [Done(1)]]
        ends.ends[0].close()
        await ends.lost[1].wait()
        assert ends.ends[1].lost
        ends.ends[1].send(Done(3))
        ends.close()

    _run(talk())


def test_bytes_that_are_no_message_end_the_channel():
    async def talk():
        ends = await Ends().open()
        ends.ends[0]._transport.write(b"\x00\x00\x00\x03abc")
        await ends.lost[1].wait()
        ends.close()

    _run(talk())


def test_events_for_a_reader_that_sleeps_wait_merge_and_all_arrive_when_it_wakes():
    async def talk():
        ends = await Ends().open()
        ends.ends[1]._transport.pause_reading()
        change = frame(Relay(msgspec.Raw(msgspec.msgpack.encode(BusEvent(TOOLS))), True))
        large = frame(Relay(msgspec.Raw(msgspec.msgpack.encode(BusEvent(REPLY, "k", bytes(400_000)))), False))
        for _ in range(12):
            ends.ends[0].relay(large, mergeable=False)
            ends.ends[0].relay(change, mergeable=True)
        assert len(ends.ends[0]._outbox) > 0
        ends.ends[1]._transport.resume_reading()
        await ends.hears(1, 13)
        ends.ends[0].send(Done(99))
        async with asyncio.timeout(5):
            while Done(99) not in ends.heard[1] or len(ends.ends[0]._outbox):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        relays = [each for each in ends.heard[1] if isinstance(each, Relay)]
        changes = [each for each in relays if each.mergeable]
        assert len(relays) - len(changes) == 12
        assert 1 <= len(changes) < 12, "those that waited were merged"
        ends.close()

    _run(talk())


def test_a_bus_delivers_here_at_once_and_to_the_other_side_and_stops_when_asked():
    async def talk():
        ends = await Ends().open()
        buses, heard = [ChannelBus(), ChannelBus()], [[], []]
        for bus, end, ears in zip(buses, ends.ends, heard, strict=True):
            bus.attach(end)
            bus.subscribe(ears.append)
        event = BusEvent("resource-updated", "notes://1", b"\x00data")
        buses[0].publish(event)
        assert heard == [[event], []]
        await ends.hears(1, 1)
        buses[1].receive(ends.heard[1][0])
        assert heard == [[event], [event]]
        more: list[BusEvent] = []
        stop = buses[0].subscribe(more.append)
        stop()
        stop()
        buses[0].publish(event)
        assert more == []
        ends.close()

    _run(talk())


def test_a_listener_that_raises_does_not_cost_the_others_the_event():
    bus, heard = ChannelBus(), []

    def broken(_):
        raise RuntimeError("mine")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    bus.publish(BusEvent(TOOLS))
    assert heard == [BusEvent(TOOLS)]


def test_an_event_too_large_for_a_frame_stays_in_its_worker(monkeypatch):
    monkeypatch.setattr(channel_module, "MAX_FRAME_BYTES", 100)

    async def talk():
        ends = await Ends().open()
        bus, heard = ChannelBus(), []
        bus.attach(ends.ends[0])
        bus.subscribe(heard.append)
        bus.publish(BusEvent(REPLY, "k", bytes(200)))
        bus.publish(BusEvent(TOOLS))
        await ends.hears(1, 1)
        assert len(heard) == 2
        assert [each.mergeable for each in ends.heard[1]] == [True]
        ends.close()

    _run(talk())
