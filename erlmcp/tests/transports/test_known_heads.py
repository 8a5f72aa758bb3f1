"""A head that is known gives the request that the parser gave; what could differ is never known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
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
    heads = KnownHeads(HttpSettings())
    first, second = (post(body, *fields, version=version) for body in bodies)
    assert heads.find(second) is None
    heads.learn(first, parsed(first))
    found = heads.find(second)
    assert found is not None
    known, body, passing = found
    assert facts(known.request_with(body, "peer", ("local", 1), passing)) == facts(parsed(second))


PASSING = [
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "TraceParent:  00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00 ",
    "tracestate: a=1,b=2",
    "x-request-id: 7",
    "X-Request-ID: another one",
    "baggage: k=v;p",
    "x-request-id:",
    "x-request-id: \xe9",
    "x-request-id: a\tb",
    "x-request-identity: 1",
    "not-traceparent: 00",
]


def without_order(request: HttpRequest) -> tuple[object, ...]:
    method, target, pairs, *others = facts(request)
    return method, target, sorted(pairs), *others


@settings(max_examples=400)
@given(
    plain=st.lists(st.sampled_from(["x: 1", "accept: a", "y: 2"]), max_size=3, unique=True),
    first=st.lists(st.sampled_from(PASSING), max_size=4),
    second=st.lists(st.sampled_from(PASSING), max_size=4),
    at=st.integers(0, 3),
)
def test_fields_that_are_only_passed_on_do_not_make_a_head_unknown_nor_get_lost(plain, first, second, at):
    heads = KnownHeads(HttpSettings())
    datas = [post(b"abcd", *plain[:at], *passing, *plain[at:]) for passing in (first, second)]
    heads.learn(datas[0], parsed(datas[0]))
    found = heads.find(datas[1])
    if found is not None:
        known, body, passing = found
        request = known.request_with(body, "peer", ("local", 1), passing)
        assert without_order(request) == without_order(parsed(datas[1]))
    if all_pass(first) and all_pass(second):
        assert found is not None


def all_pass(fields: list[str]) -> bool:
    names = {field.partition(":")[0].lower() for field in fields}
    return len(names) == len(fields) and set(fields) <= set(PASSING[:6])


def test_a_field_that_goes_on_in_the_next_line_is_left_to_the_parser():
    heads = KnownHeads(HttpSettings())
    plain = post(b"abcd", "a: b")
    heads.learn(plain, parsed(plain))
    folded = post(b"abcd", "traceparent: x\r\n a: b")
    assert heads.find(folded) is None


def test_passing_fields_count_against_the_limits_like_any_others():
    plain = post(b"abcd", "a: b")
    traced = post(b"abcd", "a: b", "traceparent: x")
    for limits, is_found in (
        (HttpSettings(max_headers=4), True),
        (HttpSettings(max_headers=3), False),
    ):
        heads = KnownHeads(limits)
        heads.learn(plain, parsed(plain))
        assert (heads.find(traced) is not None) == is_found


@pytest.mark.parametrize("data", [b"", b"abc", b"abcdefg"])
def test_another_length_of_data_is_left_to_the_parser(data):
    heads = KnownHeads(HttpSettings())
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
    heads = KnownHeads(HttpSettings())
    heads.learn(data, parsed(data))
    assert len(heads) == 0


def test_two_requests_in_one_piece_are_not_learned_as_one():
    heads = KnownHeads(HttpSettings())
    data = post(b"abcd")
    heads.learn(data + data, parsed(data))
    assert len(heads) == 0


def test_no_more_heads_are_kept_than_allowed():
    heads = KnownHeads(HttpSettings())
    for number in range(MAX_HEADS + 1):
        data = post(b"abcd", f"x: {number}")
        heads.learn(data, parsed(data))
        assert len(heads) <= MAX_HEADS
    assert len(heads) == 1
