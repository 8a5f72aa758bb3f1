"""What the reader of plain frames takes is what the ``websockets`` package would have taken."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from erlmcp.transports.websocket.frames import FrameReader, is_utf8

MOST = 300
HEAD = 14
"""The largest head of a frame: two bytes, a length of eight, a mask of four."""


def text(message: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, message, fin=fin).serialize(mask=mask)


def with_length_of_64(message: bytes) -> bytes:
    """A length is written longer than it need be; the package takes it so."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(message))
    return b"\x81\xff" + len(message).to_bytes(8, "big") + mask + masked


MESSAGES = st.one_of(
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"", b"a" * 125, b"b" * 126, b"c" * MOST, b"d" * (MOST + 1), b"\xff\xfe", "é".encode()]),
)
FRAMES = st.one_of(
    MESSAGES.map(text),
    MESSAGES.map(text),
    MESSAGES.map(text),
    MESSAGES.map(with_length_of_64),
    MESSAGES.map(lambda message: text(message, Opcode.BINARY)),
    MESSAGES.map(lambda message: text(message, mask=False)),
    MESSAGES.map(lambda message: text(message, fin=False) + text(b"end", Opcode.CONT)),
    st.binary(max_size=125).map(lambda message: text(message, Opcode.PING)),
    st.binary(max_size=125).map(lambda message: text(message, Opcode.PONG)),
    st.just(text(b"\x03\xe8", Opcode.CLOSE)),
    st.sampled_from([b"\xc1\x80abcd", b"\x8f\x80abcd", b"\x89\xfe\x00\x7eabcd" + bytes(126), b"\x81"]),
)


class Package:
    """The package alone: what it takes, and what it says to the client."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol(state=OPEN, max_size=MOST)
        self.messages: list[bytes] = []
        self._pieces: list[bytes] = []
        self._is_broken = False

    def take(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if event.opcode in (Opcode.TEXT, Opcode.CONT) and not self._is_broken:
                self._pieces.append(bytes(event.data))
                if event.fin:
                    self.take_message(b"".join(self._pieces))
                    self._pieces = []

    def take_message(self, message: bytes) -> None:
        if is_utf8(message):
            self.messages.append(message)
        else:
            self._is_broken = True
            self.protocol.fail(1007)

    @property
    def said(self) -> list[bytes]:
        return [bytes(piece) for piece in self.protocol.data_to_send()]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


@given(st.lists(FRAMES, max_size=8).map(b"".join), st.lists(st.integers(1, 200), max_size=12))
def test_messages_and_what_the_client_is_told_are_those_of_the_package_alone(data, sizes):
    alone, behind, frames = Package(), Package(), FrameReader(MOST)
    alone.take(data)
    for piece in cut(data, sizes):
        behind.messages += frames.feed(piece)
        while rest := frames.rest():
            behind.take(rest)
            if behind.protocol.state is not OPEN:
                frames.is_over = True
            behind.messages += frames.feed(b"")
        assert frames.kept <= MOST + HEAD
    assert behind.messages == alone.messages
    assert behind.said == alone.said


@given(st.lists(MESSAGES.filter(lambda message: len(message) <= MOST and is_utf8(message)), max_size=9))
def test_plain_messages_never_need_the_package(messages):
    frames = FrameReader(MOST)
    data = b"".join(map(text, messages))
    taken = [message for byte in data for message in frames.feed(bytes([byte]))]
    assert taken == messages
    assert (frames.rest(), frames.kept, frames.is_over) == (b"", 0, False)


def test_a_ping_between_messages_goes_to_the_package_alone():
    frames, ping = FrameReader(MOST), text(b"there?", Opcode.PING)
    assert frames.feed(text(b"one") + ping + text(b"two") + text(b"th")[:5]) == [b"one"]
    assert frames.rest() == ping
    assert frames.feed(b"") == [b"two"]
    assert frames.rest() == b""
    assert not frames.is_over


@pytest.mark.parametrize("begun", [text(b"x" * (MOST + 1))[:4], b"\xff", text(b"half", fin=False)[:1]])
def test_what_can_be_no_plain_message_goes_to_the_package_before_it_is_whole(begun):
    frames = FrameReader(MOST)
    assert frames.feed(begun) == []
    assert frames.rest() == begun
    assert frames.is_over
    assert frames.feed(b"more") == []
    assert frames.rest() == b"more"


def test_the_longest_message_is_taken_and_waited_for():
    frames, whole = FrameReader(MOST), text(b"x" * MOST)
    assert frames.feed(whole[:-1]) == []
    assert frames.rest() == b""
    assert frames.feed(whole[-1:]) == [b"x" * MOST]
