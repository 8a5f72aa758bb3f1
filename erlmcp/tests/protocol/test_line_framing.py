"""Bytes to lines: however the bytes are cut, the lines are the same, and no line is longer than allowed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.protocol.lines import LineReader, line

LIMIT = 16
texts = st.binary(max_size=LIMIT).map(lambda data: data.replace(b"\n", b"x").replace(b"\r", b"y"))


def pieces(data, cuts):
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def read(reader, data, cuts=()):
    return [each for piece in pieces(data, cuts) for each in reader.feed(piece)]


@given(st.lists(texts, max_size=8), st.lists(st.integers(0, 500), max_size=12), st.booleans())
def test_lines_come_out_as_they_went_in_however_the_bytes_are_cut(lines, cuts, with_cr):
    end = b"\r\n" if with_cr else b"\n"
    reader = LineReader(LIMIT)
    assert read(reader, b"".join(each + end for each in lines), cuts) == [
        each for each in lines if each.strip()
    ]
    assert not reader.too_long
    assert not reader.in_line


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=12))
def test_whatever_comes_no_line_is_longer_than_the_limit_and_cuts_change_nothing(data, cuts):
    whole, cut = LineReader(LIMIT), LineReader(LIMIT)
    lines = read(whole, data)
    assert read(cut, data, cuts) == lines
    assert all(len(each) <= LIMIT and b"\n" not in each for each in lines)
    assert cut.too_long == whole.too_long


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_of_exactly_the_limit_is_read_and_one_byte_more_is_not(end):
    reader = LineReader(LIMIT)
    assert reader.feed(b"a" * LIMIT + end) == [b"a" * LIMIT]
    assert reader.feed(b"b" * (LIMIT + 1) + end) == []
    assert reader.too_long
    assert reader.feed(b"c\n") == [], "where the next message begins is anybody's guess"


def test_lines_before_one_that_is_too_long_are_still_read():
    reader = LineReader(LIMIT)
    assert reader.feed(b"a\nb\n" + b"c" * (LIMIT + 1) + b"\nd\n") == [b"a", b"b"]
    assert reader.too_long


def test_a_line_that_never_ends_is_given_up_as_soon_as_it_is_too_long():
    reader = LineReader(LIMIT)
    fed = 0
    while not reader.too_long:
        reader.feed(b"a")
        fed += 1
    assert fed == LIMIT + 2


@pytest.mark.parametrize("cut", range(1, LIMIT + 4))
def test_no_line_behind_one_that_is_too_long_is_read_however_they_are_cut(cut):
    reader = LineReader(LIMIT)
    data = b"a" * (LIMIT + 3) + b"\nb\nc\n"
    assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == []
    assert reader.too_long


def test_a_line_in_the_making_is_told():
    reader = LineReader(LIMIT)
    reader.feed(b"abc")
    assert reader.in_line
    reader.feed(b"\n")
    assert not reader.in_line


def test_a_message_becomes_one_line():
    assert line(b'{"a":1}') == b'{"a":1}\n'
