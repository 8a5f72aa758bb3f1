"""A head that is known gives the request that the parser gave; what could differ is never known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.config.schema import HttpSettings
from erlmcp.transports.http.known_heads import MAX_HEAD_BYTES, MAX_HEADS, KnownHeads
from erlmcp.transports.http.reading import Reader
from erlmcp.transports.http.request import HttpRequest


class Heard:
    """The owner of a reader."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def head_began(self) -> None: ...

    def head_ended(self, *, expects_continue: bool) -> None: ...

    def request_ended(self, request: HttpRequest) -> None:
        self.requests.append(request)


def parsed(data: bytes) -> HttpRequest:
    heard = Heard()
    reader = Reader(heard, HttpSettings(), "peer", ("local", 1))
    view = memoryview(data)
    while view:
        view = view[reader.feed(view) :]
    return heard.requests[-1]


def post(body: bytes, *fields: str, version: str = "1.1") -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("host: h", f"content-length: {len(body)}", *fields))
    return f"POST /mcp?q HTTP/{version}\r\n{lines}\r\n".encode() + body


def facts(request: HttpRequest) -> tuple[object, ...]:
    return (
        request.method, request.target, request.headers.pairs(), request.headers.repeated, request.is_1_1,
        request.keep_alive, request.body, request.peer, request.local,
    )  # fmt: skip


@given(
    bodies=st.tuples(*[st.binary(min_size=4, max_size=4)] * 2),
    fields=st.lists(
        st.sampled_from(["x: 1", "X:  two ", "x: 3", "connection: close", "accept: a"]), max_size=4
    ),
    version=st.sampled_from(["1.1", "1.0"]),
)
def test_a_known_head_gives_the_request_that_the_parser_gives(bodies, fields, version):
    heads = KnownHeads()
    first, second = (post(body, *fields, version=version) for body in bodies)
    assert heads.find(second) is None
    heads.learn(first, parsed(first))
    found = heads.find(second)
    assert found is not None
    known, body = found
    assert facts(known.request_with(body, "peer", ("local", 1))) == facts(parsed(second))


@pytest.mark.parametrize("data", [b"", b"abc", b"abcdefg"])
def test_another_length_of_data_is_left_to_the_parser(data):
    heads = KnownHeads()
    request = post(b"abcd")
    heads.learn(request, parsed(request))
    assert heads.find(request[:-4] + data) is None
    assert heads.find(request) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        post(b"abcd", "expect: 100-continue"),
        post(b"abcd", "trailer: x"),
        post(b""),
        post(b"abcd", "x: " + "y" * MAX_HEAD_BYTES),
        post(b"abcd").replace(b"content-length: 4", b"content-length: 04"),
    ],
    ids=range(6),
)
def test_what_could_be_framed_otherwise_is_not_learned(data):
    heads = KnownHeads()
    heads.learn(data, parsed(data))
    assert len(heads) == 0


def test_two_requests_in_one_piece_are_not_learned_as_one():
    heads = KnownHeads()
    data = post(b"abcd")
    heads.learn(data + data, parsed(data))
    assert len(heads) == 0


def test_no_more_heads_are_kept_than_allowed():
    heads = KnownHeads()
    for number in range(MAX_HEADS + 1):
        data = post(b"abcd", f"x: {number}")
        heads.learn(data, parsed(data))
        assert len(heads) <= MAX_HEADS
    assert len(heads) == 1
