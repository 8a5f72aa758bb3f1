"""What the search must find: one fault planted for each thing that it claims to look at."""

import asyncio
import json
import logging

import pytest
from fuzz import campaign, judge, world
from fuzz.world import Finding

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.lines import LineReader
from erlmcp.transports.duplex import channel
from erlmcp.transports.http import connection, known_heads
from erlmcp.transports.http.deadline import Deadline
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.reading import Reader
from erlmcp.transports.tcp.server import TcpWire
from erlmcp.transports.websocket.wire import WebSocketWire

INPUTS = 4_000


def found(name, inputs=INPUTS):
    """What the search says of a target with a fault in it; it is no use to look on after the first."""
    outcome = campaign.search(name, inputs, seed=1, keep=lambda name, data, fault: fault)
    assert outcome.findings, f"nothing was found in {outcome.inputs} inputs"
    return outcome.findings[0]


@pytest.fixture(autouse=True)
def stop_at_the_first(monkeypatch):
    monkeypatch.setattr(campaign, "MAX_FINDINGS", 1)
    monkeypatch.setattr(campaign, "warmed", _as_it_is)


async def _as_it_is(target):
    return target


def test_an_exception_on_one_byte_of_a_message(monkeypatch):
    decode = jsonrpc.decode

    def fragile(body, **limits):
        if b"\xff" in body:
            raise ValueError("a byte that nobody expected")
        return decode(body, **limits)

    monkeypatch.setattr(jsonrpc, "decode", fragile)
    assert found("json-rpc") == "ValueError: a byte that nobody expected"


def test_an_id_that_changes_its_type(monkeypatch):
    monkeypatch.setattr(jsonrpc, "readable_id", lambda raw: raw if raw is None else str(raw))
    assert "was taken for" in found("json-rpc")


def test_an_exception_on_one_byte_of_a_connection(monkeypatch):
    data_received = connection.HttpConnection.data_received

    def fragile(self, data):
        if b"\0" in data:
            raise KeyError("zero")
        data_received(self, data)

    monkeypatch.setattr(connection.HttpConnection, "data_received", fragile)
    assert found("http") == "KeyError: 'zero'"


def test_an_exception_that_somebody_has_caught_and_logged(monkeypatch):
    learn = known_heads.KnownHeads.learn

    def uneasy(self, data, request):
        try:
            raise LookupError("a table is empty")
        except LookupError:
            logging.getLogger("erlmcp").exception("learning a head failed")
        learn(self, data, request)

    monkeypatch.setattr(known_heads.KnownHeads, "learn", uneasy)
    assert "learning a head failed: LookupError('a table is empty')" in found("http")


def test_an_exception_in_a_later_turn_of_the_loop(monkeypatch):
    learn = known_heads.KnownHeads.learn

    def late(self, data, request):
        asyncio.get_running_loop().call_soon(lambda: {}["nothing"])
        learn(self, data, request)

    monkeypatch.setattr(known_heads.KnownHeads, "learn", late)
    assert "KeyError('nothing')" in found("http")


def test_an_answer_that_is_none(monkeypatch):
    monkeypatch.setattr(jsonrpc, "encode_fault", lambda request_id, fault: b'{"jsonrpc":"2.0"')
    assert "the answer is no JSON" in found("http")


def test_a_request_that_is_never_answered(monkeypatch):
    monkeypatch.setattr(world, "REST_LIMIT_S", 0.3)
    respond = Exchange.respond

    def silent(self, status, body=b"", fields=b""):
        if status != 404:
            respond(self, status, body, fields)

    monkeypatch.setattr(Exchange, "respond", silent)
    assert "no rest within" in found("http")


def test_a_client_that_is_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(Deadline, "set", lambda self, name: None)
    assert found("http") == "it waits for the client without a time limit"


def test_a_head_without_a_bound(monkeypatch):
    monkeypatch.setattr(Reader, "_check_head", lambda self: None)
    monkeypatch.setattr(Reader, "_check_unfinished_head", lambda self, fed: None)
    assert "a head longer than the limit is kept" in found("http")


def test_a_head_that_is_forgotten_between_two_reads(monkeypatch):
    find = connection.HttpConnection.data_received

    def forgetful(self, data):
        find(self, data.lstrip(b"\r\n"))

    monkeypatch.setattr(connection.HttpConnection, "data_received", forgetful)
    assert "pieces it is answered otherwise" in found("http")


def test_a_line_without_a_bound(monkeypatch):
    def keep(self, piece):
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
        return True

    monkeypatch.setattr(LineReader, "_keep", keep)
    assert found("lines") == "a line longer than the limit is kept"


def test_a_line_that_is_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(
        TcpWire, "_line_timer", property(lambda self: None, lambda self, timer: None), raising=False
    )
    assert found("lines") == "it waits for the end of a line without a time limit"


def test_lines_that_depend_on_how_they_are_cut(monkeypatch):
    feed = LineReader.feed

    def hasty(self, data):
        return feed(self, data + b"\n" if len(data) > 1 and data.endswith(b"}") else data)

    monkeypatch.setattr(LineReader, "feed", hasty)
    assert "in pieces it is read otherwise" in found("lines")


def test_a_message_of_fragments_that_is_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(WebSocketWire, "_watch_message", lambda self, has_frame: None)
    assert found("websocket") == "it waits for the end of a message without a time limit"


def test_an_answer_that_no_client_could_read(monkeypatch):
    monkeypatch.setattr(
        WebSocketWire, "encode", lambda self, message: b"\xc1" + bytes([len(message) & 0x7F]) + message
    )
    assert found("websocket") == "a server neither masks nor uses reserved bits"


def test_memory_that_only_grows(monkeypatch):
    kept = []
    receive = channel.DuplexChannel.receive

    def hoarding(self, message):
        kept.append(bytearray(100_000))
        receive(self, message)

    monkeypatch.setattr(channel.DuplexChannel, "receive", hoarding)
    monkeypatch.setattr(campaign, "_SETTLED_AFTER", 10)
    monkeypatch.setattr(campaign, "MAX_GROWTH_BYTES", 16 * 1024 * 1024)
    assert "the process has grown by" in found("lines", 400)


def http_answer(body=b"{}", kind=b"text/plain", length=None):
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, size, body)


@pytest.mark.parametrize(
    "out",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"garbage",
        b"HTTP/1.1 299 Odd\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        http_answer(b"abc", length=4),
        http_answer(b"{}", kind=b"application/json"),
        http_answer(b'{"jsonrpc":"2.0","id":1.5,"result":{}}', kind=b"application/json"),
        http_answer(b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', kind=b"application/json"),
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" + http_answer(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_the_judge_of_http_refuses_what_is_no_answer(out):
    with pytest.raises(Finding):
        judge.http(out, b"", is_open=False)


def test_the_judge_of_http_takes_answers():
    message = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no"}}).encode()
    assert judge.http(http_answer() + http_answer(message, b"application/json"), b"", is_open=False) == b""


@pytest.mark.parametrize(
    "out",
    [
        b"\x81\x01x",
        b"\x81\x05{}",
        b"\x81\x82{}",
        b"\xc1\x02{}",
        b"\x83\x00",
        b"\x88\x02\x03\xe8\x8a\x00",
        b"\x89\x7e\x00\x80" + b"x" * 128,
    ],
)
def test_the_judge_of_frames_refuses_what_is_none(out):
    with pytest.raises(Finding):
        judge.frames(out)


@pytest.mark.parametrize("out", [b"x\n", b'{"jsonrpc":"2.0","id":1,"result":{}}', b"\n"])
def test_the_judge_of_lines_refuses_what_is_none(out):
    with pytest.raises(Finding):
        judge.lines(out)
