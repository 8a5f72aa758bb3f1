"""One id for an answer and all lines of the log about it."""

from __future__ import annotations

import json

import pytest

from erlmcp.telemetry import logs
from erlmcp.telemetry.correlation import CURRENT, MAX_CHARACTERS, Correlation

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_request_without_a_name_gets_one_of_its_own_when_it_is_first_asked_for():
    first, second = Correlation(), Correlation()
    assert not first.is_told
    assert first.request_id == first.request_id != second.request_id
    assert first.is_told


@pytest.mark.parametrize(
    "sent", [b"7f3a", b"a" * MAX_CHARACTERS, b"Root=1-67891233-abcdef012345678912345678"]
)
def test_what_the_client_calls_it_is_its_name(sent):
    assert Correlation(sent).request_id == sent.decode()


@pytest.mark.parametrize(
    "sent", [b"", b"a" * (MAX_CHARACTERS + 1), b'a"b', b"a b", b"a\\b", b"-a", b"\xc3\xa9", b"a\r\nb"]
)
def test_a_name_that_could_spoil_a_line_is_not_taken(sent):
    assert Correlation(sent).request_id.encode() != sent


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
        (f"cc-{TRACE}-b7ad6b7169203331-01-more", TRACE),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-{TRACE.upper()}-b7ad6b7169203331-01", ""),
        ("00-1-2-3", ""),
        ("", ""),
    ],
)
def test_a_trace_is_found_where_it_is_well_formed(sent, found):
    assert Correlation(traceparent=sent.encode()).trace_id == found


def test_header_fields_are_found_whatever_their_case():
    known = Correlation.of(
        [(b"X-Request-ID", b"seven"), (b"TraceParent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]
    )
    assert (known.request_id, known.trace_id) == ("seven", TRACE)


def test_a_line_that_is_logged_while_a_request_is_served_tells_its_id_and_trace(tmp_path):
    known = Correlation(b"seven", f"00-{TRACE}-b7ad6b7169203331-01".encode())
    formatter = logs.JsonLines("g1")
    record = logs.logging.LogRecord("guest", logs.logging.INFO, "", 0, "working", (), None)
    token = CURRENT.set(known)
    try:
        line = json.loads(formatter.format(record))
    finally:
        CURRENT.reset(token)
    assert (line["request_id"], line["trace_id"]) == ("seven", TRACE)
    assert "request_id" not in json.loads(formatter.format(record))
