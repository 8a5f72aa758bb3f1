"""The log: one JSON object on a line, nothing secret in it, nothing injected into it."""

from __future__ import annotations

import json
import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry import logs
from erlmcp.telemetry.log_writer import LogWriter
from erlmcp.telemetry.redaction import MAX_TEXT, redact


@pytest.fixture
def written():
    """Lines that were written while the test ran."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    read, write = os.pipe()
    os.set_blocking(read, False)
    logs.configure(LogSettings(), descriptor=write, generation="g7")

    def lines():
        try:
            return [json.loads(line) for line in os.read(read, 1_000_000).splitlines()]
        except BlockingIOError:
            return []

    yield lines
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
    os.close(read)
    os.close(write)


def test_a_line_says_when_what_where(written):
    logs.Log("erlmcp.test").info("worker.ready", workers=2)
    (line,) = written()
    assert line["ts"].endswith("+00:00")
    assert line["pid"] == os.getpid()
    wanted = {"level": "info", "event": "worker.ready", "generation": "g7", "workers": 2}
    assert {key: line[key] for key in wanted} == wanted


def test_the_level_can_be_changed_while_running(written):
    log = logs.Log("erlmcp.test")
    log.debug("hidden")
    logs.set_level("debug")
    log.debug("seen")
    logs.set_level("error")
    log.warning("hidden again")
    assert [line["event"] for line in written()] == ["seen"]


def test_an_exception_comes_with_its_traceback_on_the_same_line(written):
    try:
        raise RuntimeError("first\nsecond")
    except RuntimeError:
        logs.Log("erlmcp.test").exception("broke")
    (line,) = written()
    assert "RuntimeError: first\nsecond" in line["exception"]


SECRETS = [
    ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
    ("authorization='Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz"),
    ('{"Mcp-Session-Id": "q9Zk3sealedsession"}', "q9Zk3sealedsession"),
    ("mcp-session-id: q9Zk3sealedsession", "q9Zk3sealedsession"),
    ("password=hunter22 user=x", "hunter22"),
    ('{"api_key": "k-0123456789"}', "k-0123456789"),
    ("postgresql://notes:hunter22@db/notes", "hunter22"),
    ("key AKIAABCDEFGHIJKLMNOP used", "AKIAABCDEFGHIJKLMNOP"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghijklmnopqrstuvwxyz0123456789"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNz"),
    ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIiOiIxIn0"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_looks_like_a_credential_is_taken_out(written, text, secret):
    logs.Log("erlmcp.test").info(text, text=text, inner={"list": [text]})
    logging.getLogger("guest").warning("said %s", text)
    lines = written()
    assert len(lines) == 2
    assert secret not in json.dumps(lines)


@pytest.mark.parametrize("name", ["authorization", "mcp_session_id", "db.password", "token", "session_keys"])
def test_a_field_with_a_secret_name_is_hidden_whatever_it_holds(written, name):
    logs.Log("erlmcp.test").info("event", **{name: "plainword"})
    assert written()[0][name] == "***"


@pytest.mark.parametrize(
    "text", ["12 tokens used", "a secretary called", "GET /mcp 200", "drain_timeout_s=3"]
)
def test_ordinary_words_are_left_alone(text):
    assert redact(text) == text


@given(st.text(max_size=200))
def test_no_text_can_make_a_second_line(text):
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (text,), None)
    record.erlmcp_fields = {"text": text}
    line = logs.JsonLines("g1").format(record)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["logger"] == "x"


def test_a_long_value_is_cut_at_its_limit(written):
    logs.Log("erlmcp.test").info("long", text="x" * (MAX_TEXT + 1), whole="x" * MAX_TEXT)
    (line,) = written()
    assert len(line["text"]) == len(line["whole"]) == MAX_TEXT


def test_a_reader_that_is_gone_does_not_stop_the_writer():
    read, write = os.pipe()
    os.close(read)
    LogWriter(write).write_line("lost")
    os.close(write)


def test_several_writers_append_to_one_file_without_losing_lines(tmp_path):
    file = tmp_path / "erlmcp.log"
    descriptors = [logs.open_log_file(str(file)) for _ in range(3)]
    for number in range(30):
        LogWriter(descriptors[number % 3]).write_line(json.dumps({"n": number}))
    for each in descriptors:
        os.close(each)
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == list(range(30))
    assert file.stat().st_mode & 0o007 == 0
