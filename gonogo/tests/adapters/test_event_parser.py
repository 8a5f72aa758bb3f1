"""Server-sent events: the same messages however the bytes are cut, and a limit on each."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.adapters.http import HttpAnswer, HttpError
from gonogo.adapters.mcp import header_value
from gonogo.adapters.mcp_stream import EventParser, events_in

MESSAGES = [{"n": 1}, {"text": "a\nb"}, {"n": 2, "deep": [1, 2]}]


def stream(messages, end):
    lines = [": a comment", "", "retry: 100", "id: 7"]
    for message in messages:
        lines += [f"data: {part}" for part in json.dumps(message, indent=1).split("\n")] + [""]
    return (end.join(lines) + end).encode()


@given(st.lists(st.integers(0, 400), max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
def test_messages_are_the_same_wherever_the_bytes_are_cut(cuts, end):
    data = stream(MESSAGES, end)
    parser, found, before = EventParser(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        found += parser.feed(data[before:cut])
        before = cut
    found += parser.feed(b"\n")
    assert [json.loads(item) for item in found] == MESSAGES


@given(st.binary(max_size=300))
def test_any_bytes_can_be_fed(data):
    EventParser().feed(data)


@pytest.mark.parametrize(("size", "fits"), [(94, True), (95, False)])
def test_an_event_has_a_greatest_size(size, fits):
    parser = EventParser(max_event_bytes=100)
    data = b"data: " + b"x" * size
    if fits:
        parser.feed(data)
        return
    with pytest.raises(HttpError):
        parser.feed(data)


@pytest.mark.parametrize(
    ("kind", "body", "count"),
    [
        ("application/json", b'{"a": 1}', 1),
        ("application/json", b"", 0),
        ("application/json", b"[1]", 0),
        ("text/event-stream", b'data: {"a": 1}\n\ndata: {"b": 2}', 2),
        ("text/event-stream", b'id: 1\nretry: 500\ndata:\n\ndata: {"b": 2}', 1),
    ],
)
def test_finished_answers_of_both_kinds_are_read(kind, body, count):
    answer = HttpAnswer("POST", "http://x/", 200, (("content-type", kind),), body, 0.1)
    assert len(events_in(answer)) == count


@pytest.mark.parametrize("body", [b"{", b"data", b"[" * 100_000])
def test_an_answer_that_is_not_json_is_a_fault(body):
    with pytest.raises(HttpError):
        events_in(HttpAnswer("POST", "http://x/", 200, (("content-type", "application/json"),), body, 0.1))


@given(st.text(max_size=60))
def test_any_name_travels_in_a_header(text):
    value = header_value(text)
    assert value.isascii()
    assert not any(c in value for c in "\r\n\0")
    assert value == text or value.startswith("=?base64?")
