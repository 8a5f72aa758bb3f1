"""Which era a message has, and how header fields are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import encode_header_value

from erlmcp.protocol.eras import era_of
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.headers import Headers, accepts
from erlmcp.protocol.jsonrpc import Notification, Request, Response
from erlmcp.protocol.modern import Envelope, check_request

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ENVELOPED = Request(1, "tools/list", {"_meta": META})
BARE = Request(1, "tools/list", None)
INITIALIZE = Request(1, "initialize", {"_meta": META})
NOTE = Notification("notifications/cancelled", None)
ANSWER = Response(1, {}, None)
NEW, OLD, STRANGE = "2026-07-28", "2025-06-18", "2099-01-01"


@pytest.mark.parametrize(
    ("message", "version", "has_session", "era"),
    [
        (ENVELOPED, NEW, False, "modern"),
        (ENVELOPED, None, False, "modern"),
        (ENVELOPED, OLD, True, "modern"),
        (INITIALIZE, NEW, False, "modern"),
        (INITIALIZE, OLD, False, "handshake"),
        (Request(1, "initialize", {}), NEW, False, "handshake"),
        (INITIALIZE, None, False, "handshake"),
        (BARE, NEW, False, "modern"),
        (BARE, STRANGE, True, "modern"),
        (BARE, OLD, False, "handshake"),
        (BARE, None, True, "handshake"),
        (BARE, None, False, "handshake"),
        (NOTE, NEW, False, "modern"),
        (NOTE, OLD, True, "handshake"),
        (NOTE, None, True, "handshake"),
        (ANSWER, NEW, True, "handshake"),
        (ANSWER, NEW, False, "modern"),
        (ANSWER, OLD, True, "handshake"),
        (Request(1, "x", {"_meta": None}), None, False, "handshake"),
        (Request(1, "x", {"_meta": {"progressToken": 1}}), None, False, "handshake"),
    ],
)
def test_the_body_decides_before_the_header(message, version, has_session, era):
    assert era_of(message, version_header=version, has_session=has_session) == era


def headers_of(*lines: tuple[str, str]) -> Headers:
    headers = Headers()
    for name, value in lines:
        headers.add(name.encode(), value.encode())
    return headers


@pytest.mark.behaviour("headers.case-and-blanks", transport="http", era="modern")
@given(st.text("abcXYZ-", min_size=1), st.text("abc XYZ,;=", max_size=20), st.text(" \t", max_size=4))
def test_names_have_no_case_and_values_no_surrounding_blanks(name, value, blanks):
    headers = headers_of((name.swapcase(), blanks + value + blanks))
    assert headers[name] == headers[name.upper()] == value.strip(" \t")


def test_a_field_sent_twice_is_joined_and_remembered():
    headers = headers_of(("A", "1"), ("a", "2"), ("b", "3"))
    assert (headers["a"], headers.repeated) == ("1, 2", {b"a"})
    assert dict(headers) == {"a": "1, 2", "b": "3"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json, text/event-stream", (True, True)),
        ("text/event-stream,application/json;q=0.1", (True, True)),
        ("*/*", (True, True)),
        ("application/*", (True, False)),
        ("Text/Event-Stream", (False, True)),
        ("application/jsonl", (False, False)),
        ("", (False, False)),
    ],
)
def test_accept_is_read_as_http_says(accept, expected):
    assert accepts(headers_of(("accept", accept))) == expected
    assert accepts(Headers()) == (False, False)


@pytest.mark.behaviour("headers.any-name-survives", transport="http", era="modern")
@given(st.text(min_size=1, max_size=40))
def test_any_name_survives_its_way_through_a_header(name):
    request = Request(1, "tools/call", {"name": name, "_meta": META})
    headers = headers_of(
        ("MCP-Protocol-Version", NEW),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", encode_header_value(name) + " "),
    )
    assert isinstance(check_request(request, headers), Envelope)


@given(st.text("abc ", min_size=1, max_size=6), st.text("abc ", min_size=1, max_size=6))
def test_a_name_that_is_not_the_one_in_the_body_is_refused(name, other):
    request = Request(1, "tools/call", {"name": name, "_meta": META})
    headers = headers_of(
        ("MCP-Protocol-Version", NEW), ("Mcp-Method", "tools/call"), ("Mcp-Name", encode_header_value(other))
    )
    verdict = check_request(request, headers)
    if name == other:
        assert isinstance(verdict, Envelope)
    else:
        assert isinstance(verdict, Fault)
        assert (verdict.code, verdict.http_status) == (-32020, 400)
