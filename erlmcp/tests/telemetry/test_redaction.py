"""What must not be in a log is taken out: by shape, by name, and by the value of a declared argument."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.telemetry.correlation import CURRENT, Correlation
from erlmcp.telemetry.logs import JsonLines
from erlmcp.telemetry.redaction import MAX_TEXT, REDACTED, OutputRedaction, Redaction, printable, redact

SHAPES = [
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "glpat-abcdefghij0123456789",
    "github_pat_11ABCDEFG0abcdefghij_x",
    "xoxb-123456789012-abcdefghij",
    "sk-proj-abcdefghijklmnop0123",
    "hooks.slack.com/services/T0/B0/xyz123",
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",  # a line of a key
    "Qx7_" + "aB3-" * 10,  # what erlmcp's own session ids look like
]


@pytest.mark.parametrize("secret", SHAPES)
@pytest.mark.parametrize("around", ["{}", "got {}!", "url?x={}&y=1", "'{}'", "({})", "a\n{}\nb"])
def test_a_secret_is_known_by_its_shape_wherever_it_stands(secret, around):
    assert secret not in redact(around.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key=hunter2",
        "passphrase: hunter2",
        '{\\"password\\": \\"hunter2\\"}',
        "access_key = 'hunter2'",
        "?client_secret=hunter2&x=1",
        "Cookie: a=1; sid=hunter2",
        "redis://:hunter2@cache:6379/0",
        "amqp+ssl://ann:hunter2@queue/",
    ],
)
def test_a_secret_is_known_by_the_name_before_it(text):
    assert "hunter2" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "0" * 40 + "a1" * 12,  # a digest
        "7d4c2a1e-9b7f-4f0e-8a54-0c1d2e3f4a5b",
        "/usr/lib/python3.11/site-packages/Some/Very/Long/Path2/module_with_name.py",
        "erlmcp.transports.streamable_http.service",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "https://example.com:8443/mcp?page=2",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a" * 4_000_000,
        "a-" * 2_000_000,
        "eyJa" * 1_000_000,
        "x://" * 1_000_000,
        "password " * 400_000,
        "-----BEGIN PRIVATE KEY-----" * 100_000,
        "bearer \t" * 400_000,
        "aA1-" * 10 + "!" + "aA_" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_takes_long(text):
    done = threading.Event()
    threading.Thread(target=lambda: (redact(text), done.set()), daemon=True).start()
    assert done.wait(20), "it takes some milliseconds"


@given(st.text(max_size=300))
def test_any_text_can_be_redacted(text):
    Redaction(["ssn"]).text(text)


def _line(declared, sent, event="", *arguments, **fields):
    redaction = Redaction(declared)
    record = logging.LogRecord("guest", logging.ERROR, "", 0, event, arguments, None)
    record.erlmcp_fields = fields
    correlation = Correlation()
    correlation.sent = sent
    token = CURRENT.set(correlation)
    try:
        return JsonLines("g1", redaction).format(record)
    finally:
        CURRENT.reset(token)


CALL = {"params": {"arguments": {"ssn": "078-05-1120", "who": {"Ssn": 4321}, "pin": ["77", 'é"\n!']}}}


@pytest.mark.parametrize("sent", [json.dumps(CALL).encode(), CALL, [CALL]])
def test_the_values_of_declared_arguments_are_taken_out_of_every_line_about_their_request(sent):
    texts = ["078-05-1120", "no 4321 here", "x77", "77", repr('é"\n!'), json.dumps('é"\n!'), 'é"\n!']
    line = json.loads(_line(["ssn", "PIN"], sent, "%s %s", *texts[:2], text=texts, number=4321, other=432))
    assert line["event"] == "*** no *** here"
    assert line["text"][2:4] == ["x77", REDACTED], "of a short value only whole words"
    assert all(REDACTED in text for text in [*line["text"][:2], *line["text"][3:]])
    assert (line["number"], line["other"]) == (REDACTED, 432)


def test_a_value_that_is_not_declared_stays():
    assert "078-05-1120" in _line(["pin"], CALL, "078-05-1120")


def test_a_declared_argument_is_known_by_its_name_where_there_is_no_request():
    redaction = Redaction(["ssn"])
    for text in (
        "ssn=078-05-1120",
        "{'ssn': '078-05-1120'}",
        '{"SSN":"078-05-1120"}',
        "who(ssn=078-05-1120)",
    ):
        assert "078-05-1120" not in redaction.text(text)
        assert "078-05-1120" in redact(text)
    assert redaction.clean({"ssn": 4321}) == {"ssn": REDACTED}


def test_the_value_that_pydantic_shows_shortened_is_taken_out():
    text = "1 validation error [type=string_type, input_value='078-0...1120', input_type=str]"
    assert "1120" not in Redaction(["ssn"]).text(text)
    assert "input_type=str" in Redaction(["ssn"]).text(text)


@pytest.mark.parametrize("sent", [b"", b"{", b"[" * 100_000, b"null", None, 7])
def test_a_message_that_is_no_json_has_no_values(sent):
    assert Redaction(["ssn"]).values_in(sent) == []


def test_nothing_that_a_guest_logs_can_break_the_log():
    class Rude:
        def __str__(self):
            raise RuntimeError("no")

        __repr__ = __str__

    own = {}
    own["own"] = own
    line = json.loads(_line([], None, "%s", Rude(), rude=Rude(), own=own, raw=b"\xff", some={1, 2}))
    assert line["event"] == "%s"
    assert line["rude"] == "<Rude>"
    assert line["raw"] == "b'\\xff'"


def test_the_end_of_a_long_traceback_is_kept_without_its_secrets():
    text = "x" * 100_000 + " password=hunter2 " + "y" * (MAX_TEXT - 100)
    end = Redaction().end_of(text)
    assert len(end) == MAX_TEXT
    assert "hunter2" not in end
    assert end.endswith("y")


def test_a_private_key_is_hidden_though_its_lines_come_one_by_one():
    lines = OutputRedaction(Redaction())
    key = ["key: -----BEGIN RSA PRIVATE KEY-----", "MIIE", "abc=", "-----END RSA PRIVATE KEY-----", "then"]
    assert [lines.line(each) for each in key] == ["key: ***", "***", "***", "***", "then"]
    assert lines.line("-----BEGIN PRIVATE KEY-----") == "***"
    assert [lines.line("more") for _ in range(101)] == ["***"] * 100 + ["more"]


@pytest.mark.parametrize("each", ["\n", "\r", "\x1b[31m", "\x00", "\u2028", "\u202e", "\x9b", "\x08"])
def test_a_line_for_a_terminal_is_one_line_and_moves_no_cursor(each):
    assert printable(f"a{each}b").isprintable()
    assert printable("ordinary text, é") == "ordinary text, é"
