"""Which sessions a worker keeps at hand: those that cannot be rebuilt, and a few of the others."""

import time

import pytest

from erlmcp.sessions.sealed import SessionFacts
from erlmcp.transports.streamable_http import live

pytestmark = pytest.mark.anyio

FEW = 3
MANY = 10
CLIENT = {"capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}


@pytest.fixture
async def sessions(serve, monkeypatch):
    monkeypatch.setattr(live, "MAX_READY", FEW)
    monkeypatch.setattr(live, "MAX_LIVE", MANY)
    return (await serve()).runtime._handshake._live


def ready(sessions, number):
    return sessions.ready(SessionFacts(f"sid-{number}", 0, "2025-11-25", CLIENT), f"id-{number}")


def kept(sessions):
    return sorted(sessions._sessions)


async def test_the_ones_unused_longest_are_let_go_and_come_back_from_their_id(sessions):
    first = ready(sessions, 0)
    for number in range(1, FEW + 1):
        ready(sessions, number)
    assert kept(sessions) == ["sid-1", "sid-2", "sid-3"]
    again = ready(sessions, 0)
    assert again is not first
    assert again.connection.session_id == "id-0"
    assert again.connection.client_params.client_info.name == "raw"
    assert again.connection.initialized.is_set()


async def test_what_the_guest_has_left_at_a_connection_keeps_its_session(sessions):
    with_state, with_cleanup = ready(sessions, 0), ready(sessions, 1)
    with_state.connection.state["colour"] = "blue"
    with_cleanup.connection.exit_stack.callback(lambda: None)
    for number in range(2, 40):
        ready(sessions, number).connection  # noqa: B018 - it is made when it is looked at
    assert ready(sessions, 0) is with_state
    assert ready(sessions, 1) is with_cleanup
    assert len(kept(sessions)) <= FEW + 1


async def test_running_calls_and_open_streams_keep_their_session(sessions):
    calling, streaming = ready(sessions, 0), ready(sessions, 1)
    calling.calls[1] = calling
    streaming.streams.add(streaming)
    made = calling.connection
    for number in range(2, 40):
        ready(sessions, number)
    assert ready(sessions, 0) is calling
    assert calling.connection is made, "a running call keeps its connection, too"
    assert ready(sessions, 1) is streaming
    calling.calls.clear()
    streaming.streams.clear()


async def test_beyond_the_bound_of_all_even_those_go_and_what_they_have_left_is_run(sessions, raw):
    cleaned = []
    for number in range(MANY):
        ready(sessions, number).connection.exit_stack.callback(cleaned.append, number)
    assert len(kept(sessions)) == MANY
    assert cleaned == []
    ready(sessions, MANY).connection.state["colour"] = "blue"
    await raw.until(lambda: len(cleaned) == 1)
    assert len(kept(sessions)) == MANY


async def test_a_session_that_nobody_uses_ends_with_what_it_has_left_to_be_done(serve, raw, monkeypatch):
    served = await serve(mcp={"session_idle_s": 60})
    session = await served.initialize()
    await served.session_call(session, raw.handshake("tools/list"))
    [kept_ready] = served.runtime._handshake._live._sessions.values()
    cleaned = []
    kept_ready.connection.exit_stack.callback(cleaned.append, "done")
    monkeypatch.setattr(served.runtime._handshake._sessions._records, "_clock", lambda: time.time() + 61)
    other = await served.initialize()
    await served.session_call(other, raw.handshake("tools/list"))
    await raw.until(lambda: cleaned == ["done"])
