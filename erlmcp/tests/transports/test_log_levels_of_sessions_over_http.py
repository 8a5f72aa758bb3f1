"""A session hears no log message below the level it has set, whichever worker logs it."""

import pytest

from erlmcp.sessions.bus import LocalBus

pytestmark = pytest.mark.anyio

GUEST = "logging_guests.py:plain"


@pytest.fixture
def workers(serve):
    async def start():
        bus = LocalBus()
        return [await serve(GUEST, bus=bus), await serve(GUEST, bus=bus)]

    return start


async def set_level(served, raw, session, level):
    return (await served.session_call(session, raw.handshake("logging/setLevel", level=level))).json


async def logged_by_call(served, raw, session):
    client = await served.connect()
    message = raw.handshake("tools/call", name="during", arguments={})
    await client.post(message, headers={"mcp-session-id": session})
    reply = await client.head()
    if reply.headers["content-type"] == "application/json":
        return []
    return [event["params"]["level"] async for event in client.events() if "method" in event]


@pytest.mark.parametrize("worker", [0, 1])
async def test_the_level_holds_at_every_worker_and_for_that_session_only(workers, raw, worker):
    served = await workers()
    session, stranger = await served[0].initialize(), await served[0].initialize()
    assert (await set_level(served[0], raw, session, "warning"))["result"] == {}
    assert await logged_by_call(served[worker], raw, session) == ["warning", "error"]
    assert await logged_by_call(served[worker], raw, stranger) == ["debug", "info", "warning", "error"]
    await set_level(served[0], raw, session, "emergency")
    assert await logged_by_call(served[worker], raw, session) == []


async def test_the_level_holds_for_what_is_said_outside_a_call(workers, raw):
    served = await workers()
    session = await served[0].initialize()
    stream, _ = await served[0].get_stream(session)
    await set_level(served[0], raw, session, "error")
    await served[1].session_call(session, raw.handshake("tools/call", name="later", arguments={}))
    assert (await anext(stream.events()))["params"]["level"] == "error"


async def test_a_level_that_the_guest_refuses_changes_nothing(workers, raw):
    served = await workers()
    session = await served[0].initialize()
    assert (await set_level(served[0], raw, session, "loud"))["error"]["code"] == -32602
    assert len(await logged_by_call(served[1], raw, session)) == 4
