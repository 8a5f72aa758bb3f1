"""The reader gives the same requests however the bytes are cut."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erlmcp.config.schema import HttpSettings
from erlmcp.transports.http.reading import Reader, Refused


@dataclass
class Recorder:
    requests: list = field(default_factory=list)
    heads: int = 0

    def head_began(self) -> None:
        self.heads += 1

    def head_ended(self, *, expects_continue: bool) -> None:
        pass

    def request_ended(self, request) -> None:
        self.requests.append((request.method, request.target, dict(request.headers), request.body))


def read(pieces, **limits):
    owner = Recorder()
    reader = Reader(owner, HttpSettings(**limits), "127.0.0.1", None)
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[reader.feed(view) :]
    return owner.requests


names = st.text("abcdefgh-", min_size=1, max_size=12).filter(lambda name: name.strip("-"))
tokens = st.text("abcdefghijklmnop0123456789", max_size=30)


@st.composite
def requests(draw):
    body = draw(st.binary(max_size=6000))
    target = "/" + draw(tokens)
    fields = {f"x-{draw(names)}": draw(tokens) for _ in range(draw(st.integers(0, 4)))}
    head = f"POST {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(body)))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        sent = head.encode() + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        fields["transfer-encoding"] = "chunked"
    else:
        sent = head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body
        fields["content-length"] = str(len(body))
    return sent, (b"POST", target.encode(), fields, body)


@pytest.mark.behaviour("http.cuts-do-not-matter", transport="http", era="any")
@settings(max_examples=60)
@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_requests_do_not_depend_on_how_the_bytes_are_cut(given_requests, data):
    sent = b"".join(request for request, _ in given_requests)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(sent) - 1)), max_size=12)))
    edges = [0, *cuts, len(sent)]
    pieces = [sent[start:end] for start, end in pairwise(edges) if start < end]
    assert read(pieces) == [expected for _, expected in given_requests]


def status_of(pieces) -> int:
    """200 when it could be read; anything but a refusal that is raised fails the test."""
    try:
        read(pieces)
    except Refused as refusal:
        return refusal.status
    return 200


@pytest.mark.behaviour("http.hostile-bytes", transport="http", era="any")
@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise_anything_but_a_refusal(data):
    for start in (b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"):
        assert status_of([start + data]) in (200, 0, 400, 413, 417, 431, 505)


@pytest.mark.parametrize("cut", [1, 7, 2048, 5000])
def test_the_bound_of_a_head_does_not_depend_on_how_it_is_cut(cut):
    start, end = b"GET / HTTP/1.1\r\nHost: a\r\nX-Fill: ", b"\r\n\r\n"
    exact = start + b"x" * (4000 - len(start) - len(end)) + end
    cut_up = [exact[place : place + cut] for place in range(0, len(exact), cut)]
    assert len(read(cut_up, max_header_bytes=4000)) == 1
    with pytest.raises(Refused) as caught:
        read(cut_up, max_header_bytes=3999)
    assert caught.value.status == 431


def test_fields_after_the_body_are_counted_and_dropped():
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    assert read([head + b"X-Late: 1\r\n\r\n"])[0][2] == {"transfer-encoding": "chunked"}
    with pytest.raises(Refused) as caught:
        read([head + b"X-Late: 1\r\n" * 101 + b"\r\n"])
    assert caught.value.status == 431
