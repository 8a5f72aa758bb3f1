"""Letters between hosts: what was written is read by who shares the keys, and nothing else is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.sessions.bus import KINDS, REPLY, BusEvent
from erlmcp.sessions.hosts.letters import (
    MAX_AGE_S,
    MAX_EVENT_BYTES,
    MAX_HOSTS,
    MAX_KEY_CHARS,
    MAX_LETTER_BYTES,
    BadLetterError,
    Letters,
)
from erlmcp.sessions.sealed import KeyRing

KEY = bytes(range(32))
A, B = "a" * 16, "b" * 16
EVENTS = st.builds(BusEvent, st.sampled_from(sorted(KINDS)), st.text(max_size=40), st.binary(max_size=200))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def letters(host=A, keys=(KEY,), clock=None) -> Letters:
    return Letters(KeyRing(keys), host, clock or Clock())


def read(reader: Letters, data: bytes):
    _, envelope = reader.writer_of(data)
    return reader.open(envelope)


@given(EVENTS, st.integers(1, 2**53))
def test_a_letter_is_json_and_says_what_was_written(event, number):
    data = letters().write(number, event)
    assert set(json.loads(data)) == {"v", "host", "number", "sealed"}
    letter = read(letters(B), data)
    assert (letter.host, letter.number, letter.event) == (A, number, event)


def test_a_sign_of_life_says_nothing():
    assert read(letters(B), letters().write(1, None)).event is None


def test_nothing_of_the_event_can_be_read_by_others():
    data = letters().write(1, BusEvent(REPLY, "the-session", b"the answer"))
    assert b"session" not in data
    assert b"answer" not in data


@given(st.data())
def test_a_letter_with_anything_changed_is_refused(data):
    written = letters().write(7, BusEvent(REPLY, "key", b"data"))
    place = data.draw(st.integers(0, len(written) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != written[place]))
    changed = written[:place] + bytes([byte]) + written[place + 1 :]
    try:
        letter = read(letters(B), changed)
    except BadLetterError:
        return
    assert letter == read(letters(B), written), "only the spelling of the JSON may differ"


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise_anything_but_refused(data):
    with pytest.raises(BadLetterError):
        read(letters(), data)


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"host": "A" * 16}, {"host": "a" * 15}, {"number": 0}, {"number": "1"}, {"more": 1}],
    ids=str,
)
def test_a_letter_that_breaks_the_schema_is_refused(change):
    letter = json.loads(letters().write(1, None)) | change
    with pytest.raises(BadLetterError, match="not a letter"):
        letters(B).writer_of(json.dumps(letter).encode())


def test_keys_can_be_changed_while_hosts_write():
    new = bytes(32)
    old_host, changing, new_host = (letters(A, keys) for keys in ([KEY], [KEY, new], [new, KEY]))
    reader = letters(B, [KEY, new])
    for number, writer in enumerate((old_host, changing, new_host), 1):
        assert read(reader, writer.write(number, None)).number == number
    with pytest.raises(BadLetterError, match="none of our session keys"):
        read(letters(B, [KEY]), new_host.write(9, None))
    ring = KeyRing([KEY])
    live = Letters(ring, B, Clock())
    ring.replace([new])
    assert read(live, new_host.write(10, None)).number == 10
    with pytest.raises(BadLetterError):
        read(live, old_host.write(10, None))


def test_a_letter_may_be_so_old_and_no_older():
    clock = Clock()
    data = letters(clock=clock).write(1, None)
    reader = letters(B, clock=clock)
    for difference in (MAX_AGE_S, -MAX_AGE_S):
        clock.now = 1_800_000_000.0 + difference
        assert read(reader, data)
        clock.now += 1 if difference > 0 else -1
        with pytest.raises(BadLetterError, match="clocks"):
            read(reader, data)


def test_the_largest_event_is_written_and_read_and_one_byte_more_is_refused():
    data = letters().write(1, BusEvent(REPLY, "k" * MAX_KEY_CHARS, bytes(MAX_EVENT_BYTES)))
    assert len(data) <= MAX_LETTER_BYTES
    assert len(read(letters(B), data).event.data) == MAX_EVENT_BYTES
    for event in (
        BusEvent(REPLY, "", bytes(MAX_EVENT_BYTES + 1)),
        BusEvent(REPLY, "k" * (MAX_KEY_CHARS + 1)),
    ):
        with pytest.raises(BadLetterError, match="at most"):
            letters().write(1, event)
    with pytest.raises(BadLetterError, match="at most"):
        letters().writer_of(bytes(MAX_LETTER_BYTES + 1))


def test_what_is_remembered_of_hosts_is_bounded():
    reader = letters(B)
    for number in range(MAX_HOSTS * 2):
        assert read(reader, letters(f"{number:016x}").write(1, None))
    assert len(reader._known) <= MAX_HOSTS
