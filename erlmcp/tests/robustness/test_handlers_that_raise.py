"""Whatever a handler raises, its client gets an answer, none of its text, and every other call goes on."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

EXCEPTIONS = (
    "exception",
    "recursion",
    "memory",
    "stop-iteration",
    "group",
    "unprintable",
    "surrogates",
    "timeout",
    "connection",
)
"""A tool that raises them has failed: the model is told."""

BEYOND = ("system-exit", "keyboard-interrupt", "generator-exit", "cancelled", "base-exception", "base-group")
"""No Exception: the server's fault, in the words of the protocol."""

TOOLS = ("raises", "raises_later", "raises_in_a_thread", "raises_with_context")
INTERNAL = {"code": -32603, "message": "Internal server error"}


def _assert_all_is_well(client, pid):
    """The same connection and the same process go on."""
    assert client.text("who") == pid


@pytest.fixture
def neighbour(unruly):
    """A server, and a call of another client that runs all the time and must end well."""
    server = unruly()
    other = server.client()
    other.send("tools/call", name="hangs", arguments={"seconds": 2.0})
    yield server
    assert other.receive()["result"]["content"][0]["text"] == "done"


@pytest.mark.behaviour("handlers.exceptions-are-answers")
def test_every_exception_is_an_answer_on_every_transport_and_the_neighbours_go_on(neighbour, cell):
    client = neighbour.client(*cell)
    pid = client.text("who")
    for tool in TOOLS:
        for kind in EXCEPTIONS:
            answer = client.call(tool, kind=kind)
            assert answer["result"]["isError"] is True, (tool, kind, answer)
            assert "swordfish" not in str(answer)
    _assert_all_is_well(client, pid)


@pytest.mark.behaviour("handlers.beyond-exceptions")
def test_what_is_no_exception_is_an_internal_error_and_ends_nothing(neighbour, cell):
    client = neighbour.client(*cell)
    pid = client.text("who")
    for tool in TOOLS:
        for kind in BEYOND:
            answer = client.call(tool, kind=kind)
            assert answer.get("error") == INTERNAL, (tool, kind, answer)
    _assert_all_is_well(client, pid)


@pytest.mark.behaviour("handlers.cancels-itself")
@pytest.mark.parametrize("tool", ["awaits_what_is_cancelled", "cancels_itself"])
def test_a_handler_that_is_cancelled_by_nobody_but_itself_is_an_internal_error(neighbour, cell, tool):
    client = neighbour.client(*cell)
    pid = client.text("who")
    assert client.call(tool).get("error") == INTERNAL
    _assert_all_is_well(client, pid)


@pytest.mark.behaviour("handlers.unwritable-error")
def test_an_error_whose_data_cannot_be_written_is_an_internal_error(neighbour, cell):
    client = neighbour.client(*cell)
    pid = client.text("who")
    for tool in TOOLS:
        assert client.call(tool, kind="broken-data").get("error") == INTERNAL
    _assert_all_is_well(client, pid)


@pytest.mark.parametrize("guest", ["on_lowlevel", "on_fastmcp"])
def test_guests_of_other_kinds_may_raise_whatever_they_like_too(unruly, guest):
    server = unruly(guest)
    client = server.client()
    pid = client.text("who")
    for kind in EXCEPTIONS:
        answer = client.call("raises", kind=kind)
        assert answer.get("error") == INTERNAL or answer["result"]["isError"], (kind, answer)
        assert "swordfish" not in str(answer) or guest == "on_fastmcp", "FastMCP tells by itself"
    for kind in BEYOND:
        assert client.call("raises", kind=kind).get("error") == INTERNAL, kind
    _assert_all_is_well(client, pid)


@pytest.mark.parametrize("kind", [*EXCEPTIONS, *BEYOND])
def test_prompts_resources_and_routes_may_raise_whatever_they_like_too(unruly, kind):
    server = unruly()
    client = server.client("tcp", "handshake")
    pid = client.text("who")
    assert "error" in client.ask("prompts/get", name="raising_prompt", arguments={"kind": kind})
    assert "error" in client.ask("resources/read", uri=f"unruly://{kind}")
    parts = urlsplit(server.server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    connection.request("GET", f"/raises/{kind}")
    assert connection.getresponse().status == 500
    connection.close()
    _assert_all_is_well(client, pid)


def test_a_handler_that_is_no_exception_is_logged_and_counted_as_the_servers_fault(unruly, until):
    server = unruly()
    client = server.client()
    client.call("raises", kind="system-exit")
    assert until(lambda: server.server.sample("erlmcp_requests_total", outcome="server_error") == 1)
    (line,) = until(
        lambda: [line for line in server.server.events() if "SystemExit" in line.get("exception", "")]
    )
    assert line["level"] == "error"
    assert server.server.sample("erlmcp_worker_restarts_total") == 0
