"""Secrets are planted on every way into a log, and none comes out of any. Each way is seen to log."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

GUEST = Path(__file__).parent / "guests" / "leaky.py"
PLANTED = [
    "Authorization: Bearer canary0123456789",
    "eyJhbGciOiJIUzI1NiIsCANARY.eyJzdWIiOiJjCANARY.canary",
    "sk-live-canary0123456789abcd",
    "ghp_canary0123456789abcdefghij",
    "AKIACANARY0123456789",
    "postgresql://ann:canary-pw@db/notes",
    "password=canarypw",
    '{"api_key": "canarykey"}',
    "Cookie: theme=dark; sid=canarycookie",
    "mcp-session-id: canarysession",
    "canaryA1-0123456789abcdefghijABCDEFGHIJ_-0123",
    "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
]
FORGERY = 'x\n{"event":"forged"}\r\n\x1b[2J\x00\u2028{"event":"forged"}\u0085\u202e'
HOWS = ["message", "field", "exception", "name", "thread", "warning", "stdout", "stderr", "raise"]
IN_ONE_LINE = [each for each in PLANTED if "\n" not in each]
MARKS = count(1)


def mark() -> str:
    return f"mark{next(MARKS)}."


@pytest.fixture(scope="module")
def leaky(serve_for_module):
    env = {
        "ERLMCP_LOG__ACCESS": "true",
        "ERLMCP_LOG__REDACT_ARGUMENTS": "ssn",
        "ERLMCP_LOG__REFUSED_PER_S": "1000000",
    }
    return serve_for_module("--tcp", "127.0.0.1:0", target=f"{GUEST}:server", env=env).started()


@pytest.fixture
def told(leaky, until):
    """Wait until these marks are in the log; then nothing planted may be there since the test began."""
    began = len(leaky.lines)

    def check(*marks: str, elsewhere: str = ""):
        def output():
            return "\n".join(leaky.lines[began:])

        until(lambda: all(each in output() for each in marks))
        clean(output() + elsewhere)
        for line in leaky.lines[began:]:
            assert line.isprintable(), line
            assert not line.startswith("{") or json.loads(line)["event"] != "forged"

    return check


def clean(output: str) -> None:
    found = re.search(r".{0,200}canary.{0,50}", output, re.IGNORECASE)
    assert found is None, found


def call(server, tool, **arguments):
    """Call a tool on one connection often enough for the shortest way; it may fail."""
    connection = server.connect()
    for _ in range(3):
        connection.send("tools/call", {"name": tool, "arguments": arguments})
        connection.http.getresponse().read()
    connection.close()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("tool", ["tell", "tell_at_once"])
def test_no_way_of_a_guest_to_log_lets_a_secret_out(leaky, told, tool, how):
    marks = [mark() for _ in PLANTED]
    by_lines = how in {"stdout", "stderr"}
    for each, planted in zip(marks, PLANTED, strict=True):
        if not by_lines or planted in IN_ONE_LINE:
            call(leaky, tool, text=f"{each} {planted}", how=how)
    forged = mark()
    if not by_lines:
        call(leaky, tool, text=forged + FORGERY, how=how)
        marks.append(forged)
    told(*(marks[:-1] if by_lines else marks))


@pytest.mark.parametrize("how", ["message", "field", "exception", "name", "warning"])
@pytest.mark.parametrize("tool", ["declare", "declare_at_once"])
def test_the_value_of_a_declared_argument_comes_out_nowhere_while_its_request_is_served(
    leaky, told, tool, how
):
    before = len(leaky.lines)
    call(leaky, tool, ssn="canary 078-05-1120", how=how)
    told(*(["***"] if how != "warning" else []))
    assert all("078-05" not in line for line in leaky.lines[before:])


def test_a_declared_argument_that_is_printed_is_known_by_its_name(leaky, told):
    marked = mark()
    call(leaky, "tell", text=f"{marked} ssn=canary", how="stdout")
    told(marked)


def _raw(server, head: str, body: str = "") -> str:
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), 10) as sock:
        length = f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
        sock.sendall((head.replace("\n", "\r\n") + length + body).encode())
        answer = b""
        while piece := sock.recv(65_536):
            answer += piece
    return answer.decode()


TAKEN = "Content-Type: application/json\nAccept: application/json, text/event-stream\n"
HEADS = [
    "POST /mcp?token={} HTTP/1.1\nHost: 127.0.0.1\n",
    "POST /mcp HTTP/1.1\nHost: 127.0.0.1\nCookie: sid=canary\nX-Marked: {}\n",
    "POST /mcp HTTP/1.1\nHost: 127.0.0.1\nMcp-Session-Id: canary\nX-Secret: {}\n" + TAKEN,
    "GET /elsewhere?password={} HTTP/1.1\nHost: 127.0.0.1\n",
    "GET /mcp HTTP/1.1\nHost: {}\n",
    "GET /mcp HTTP/1.1\nHost: 127.0.0.1\nOrigin: https://{}\n",
    "DELETE /mcp HTTP/1.1\nHost: 127.0.0.1\nAuthorization: {}\n",
    "BREW /{} HTTP/1.1\nHost: 127.0.0.1\n",
    "GET {} nonsense\n",
]


@pytest.mark.parametrize("head", HEADS)
def test_no_request_that_is_refused_leaves_a_secret_in_the_log(leaky, told, head):
    marks = []
    for planted in IN_ONE_LINE:
        known = mark()
        head_with_id = head.format(planted.replace(" ", "")) + f"X-Request-Id: {known}\n"
        body = {"jsonrpc": "2.0", "id": planted, "method": planted, "params": {"name": planted, planted: 1}}
        if not head.startswith(("BREW", "GET {}")):  # those never become requests
            marks.append(known)
        _raw(leaky, head_with_id, json.dumps(body))
    told(*marks)


@pytest.mark.parametrize("planted", [*IN_ONE_LINE, FORGERY])
def test_no_message_that_a_client_invents_leaves_a_secret_in_the_log(leaky, told, planted):
    known = mark()
    for method, params in [
        (planted, {}),
        ("tools/call", {"name": planted}),
        ("prompts/get", {"name": planted}),
    ]:
        connection = leaky.connect()
        connection._credential = {"X-Request-Id": known}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        connection.handshake("initialize", {"protocolVersion": planted}, id=planted)
        connection.http.request("POST", connection.path, json.dumps(body), {"X-Request-Id": known})
        connection.http.getresponse().read()
        connection.close()
    told(known)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_session_id_stays_out_of_the_log(leaky, told, planted):
    connection = leaky.connect()
    client = {"name": planted, "version": planted}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    session = connection.handshake("initialize", params, id=1).headers["mcp-session-id"]
    marked = mark()
    arguments = {"text": f"{marked} in session {session}", "how": "raise"}
    connection.handshake("tools/call", {"name": "tell", "arguments": arguments}, session, id=2)
    connection.close()
    told(marked)
    assert session not in "\n".join(leaky.lines)


def test_no_line_over_tcp_leaves_a_secret_in_the_log(leaky, told):
    where = next(each for each in leaky.read("/listeners").json if each["name"] == "tcp")
    host, _, port = re.search(r"([\d.]+):(\d+)", json.dumps(where))[0].partition(":")
    marks = []
    for planted in PLANTED:
        marks.append(mark())
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        arguments = {"text": f"{marks[-1]} {planted}", "how": "message"}
        asked = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "tell", "arguments": arguments},
        }
        with socket.create_connection((host, int(port)), 10) as sock:
            reader = sock.makefile("rb")
            for each in (hello, asked):
                sock.sendall(json.dumps(each).encode() + b"\n")
                assert reader.readline()
            sock.sendall(planted.encode() + b" no json\n")
    told(*marks)


def test_no_start_that_fails_lets_a_secret_out(leaky, told):
    for number, planted in enumerate(PLANTED):
        marked = mark()
        env = {"GUEST_BROKEN": f"{marked} {planted}"}
        answer = leaky.stage(f"broken{number}", target=f"{GUEST}:server", env=env)
        assert answer.status == 422
        told(marked, elsewhere=answer.body.decode() + leaky.read("/generations").body.decode())


def test_a_server_that_cannot_start_says_why_without_the_secret(serve):
    for planted in IN_ONE_LINE[::3]:
        server = serve(target=f"{GUEST}:server", env={"GUEST_BROKEN": planted + FORGERY.replace("\0", "")})
        assert server.wait(30) == 1
        output = "\n".join(server.lines)
        assert "error[generations.start-failed]" in output
        clean(output)
        assert all(line.isprintable() for line in server.lines)


def test_no_act_leaves_a_secret_in_the_log(leaky, told):
    for planted in [*PLANTED, FORGERY]:
        leaky.act("PUT", "/log-level", {"level": planted})
        leaky.act("PUT", "/generations/g9", {"target": planted, "version": planted, planted: planted})
        leaky.act(
            "PUT", "/generations/g9", {"target": "a:b", "config": {planted: planted, "log.level": planted}}
        )
        leaky.act("POST", "/generations/" + planted.encode().hex() + "/activate")
    told(
        "config.unknown-key",
        elsewhere=leaky.read("/metrics").body.decode() + leaky.read("/config").body.decode(),
    )


def test_the_pages_that_read_log_nothing_of_who_asks(leaky, told):
    for planted in IN_ONE_LINE:
        leaky.read("/ready?token=canary", headers={"Cookie": planted, "Authorization": planted})
        leaky.read("/canary", "POST", headers={"X-Api-Key": planted})
    told()


def test_no_log_line_of_stdio_holds_a_secret(tmp_path):
    log = tmp_path / "log"
    env = {"ERLMCP_LOG__FILE": str(log), "ERLMCP_LOG__ACCESS": "true", "ERLMCP_LOG__REDACT_ARGUMENTS": "ssn"}
    version = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    meta = {**version, "io.modelcontextprotocol/clientCapabilities": {}}
    marks, lines = [], []
    for planted in [*PLANTED, FORGERY]:
        marks.append(mark())
        for tool, arguments in (
            ("tell", {"text": f"{marks[-1]} {planted}"}),
            ("declare", {"ssn": "canary ssn"}),
        ):
            params = {"name": tool, "arguments": {**arguments, "how": "exception"}, "_meta": meta}
            asked = {"jsonrpc": "2.0", "id": len(lines), "method": "tools/call", "params": params}
            lines.append(json.dumps(asked))
    command = [sys.executable, "-m", "erlmcp.cli.main", "stdio", f"{GUEST}:server"]
    told = "\n".join(lines) + "\n"
    subprocess.run(command, input=told, text=True, env={**os.environ, **env}, timeout=60, check=True)
    output = log.read_text()
    assert all(each in output for each in marks)
    clean(output)
    assert all(json.loads(line)["event"] != "forged" for line in output.splitlines())


def test_a_canary_in_plain_words_would_be_seen(leaky, until):
    marked = mark()
    call(leaky, "tell", text=f"{marked} plain kanary", how="message")
    until(lambda: any(marked in line for line in leaky.lines))
    line = next(line for line in leaky.lines if marked in line)
    with pytest.raises(AssertionError):
        clean(line.replace("kanary", "canary"))
