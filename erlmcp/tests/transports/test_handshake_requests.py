"""The handshake era over HTTP, byte by byte, on one worker and on two. GET streams: ``test_get_streams``."""

import asyncio

import pytest

from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
ADD = {"name": "add", "arguments": {"a": 2, "b": 3}}


@pytest.mark.behaviour("session.each-revision", transport="http", era="handshake")
@pytest.mark.parametrize("version", VERSIONS)
async def test_each_revision_gets_a_session_and_is_served_in_it(serve, raw, version):
    served = await serve()
    client = await served.connect()
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    reply = await client.call(raw.handshake("initialize", **params))
    assert reply.json["result"]["protocolVersion"] == version
    assert reply.json["result"]["serverInfo"]["name"] == "workshop"
    session = reply.headers["mcp-session-id"]
    assert all(0x21 <= ord(letter) <= 0x7E for letter in session)
    assert len(session) < 4096
    reply = await served.session_call(session, raw.handshake("tools/call", **ADD), version)
    assert reply.json["result"]["content"][0]["text"] == "5"
    assert "resultType" not in reply.json["result"]


@pytest.mark.behaviour("initialize.newest-offered", transport="http", era="handshake")
async def test_a_client_of_the_future_is_offered_the_newest_handshake(serve, raw):
    served = await serve()
    params = {
        "protocolVersion": "2099-01-01",
        "capabilities": {},
        "clientInfo": {"name": "c", "version": "1"},
    }
    reply = await (await served.connect()).call(raw.handshake("initialize", **params))
    assert reply.json["result"]["protocolVersion"] == "2025-11-25"


@pytest.mark.behaviour("initialize.under-a-modern-header", transport="http", era="handshake")
async def test_initialize_under_a_modern_header_contradicts_itself(serve, raw):
    served = await serve()
    reply = await (await served.connect()).call(
        raw.handshake("initialize", 4), headers={"mcp-protocol-version": "2026-07-28"}
    )
    assert (reply.status, reply.json["error"]["code"], reply.json["id"]) == (400, -32020, 4)


@pytest.mark.behaviour("initialize.broken", transport="http", era="handshake")
async def test_a_broken_initialize_begins_no_session(serve, raw):
    served = await serve()
    reply = await (await served.connect()).call(raw.handshake("initialize", protocolVersion="2025-11-25"))
    assert reply.json["error"]["code"] == -32602
    assert "mcp-session-id" not in reply.headers


@pytest.mark.behaviour("limits.session-size", transport="http", era="handshake")
async def test_a_client_that_describes_itself_without_end_is_refused(serve, raw):
    served = await serve()
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"experimental": {"x": {"y": "z" * 5000}}},
        "clientInfo": {"name": "c", "version": "1"},
    }
    reply = await (await served.connect()).call(raw.handshake("initialize", **params))
    assert (reply.json["error"]["code"], "mcp-session-id" in reply.headers) == (-31431, False)


async def test_a_client_that_describes_itself_by_an_endless_number_is_refused(serve, raw):
    served = await serve()
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"experimental": {"x": {"y": 10**30}}},
        "clientInfo": {"name": "c", "version": "1"},
    }
    reply = await (await served.connect()).call(raw.handshake("initialize", **params))
    assert (reply.json["error"]["code"], "mcp-session-id" in reply.headers) == (-31431, False)


@pytest.mark.behaviour("session.missing-or-wrong", transport="http", era="handshake")
async def test_without_a_session_it_is_400_and_with_a_wrong_one_404(serve, raw):
    served = await serve()
    client = await served.connect()
    reply = await client.call(raw.handshake("tools/list", 6), headers={"mcp-protocol-version": "2025-11-25"})
    assert (reply.status, reply.json["id"]) == (400, 6)
    session = await served.initialize()
    middle = len(session) // 2
    wrong = [
        "invented",
        session[:-1],
        session + "A",
        session + "=",
        session[:middle] + ("A" if session[middle] != "A" else "B") + session[middle + 1 :],
    ]
    for bad in wrong:
        reply = await served.session_call(bad, raw.handshake("tools/list"))
        assert reply.status == 404, bad
    assert (await served.session_call(session, raw.handshake("tools/list"))).status == 200
    assert served.rejected("session") == len(wrong)


@pytest.mark.behaviour("session.forged", transport="http", era="handshake")
async def test_a_session_of_another_key_is_unknown(serve, raw):
    first = await serve()
    second = await serve(ring=KeyRing([KeyRing.generate()]))
    session = await first.initialize()
    assert (await second.session_call(session, raw.handshake("tools/list"))).status == 404


@pytest.mark.behaviour("workers.session-anywhere", transport="http", era="handshake")
async def test_a_session_lives_on_at_another_worker_and_after_the_first_is_gone(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    session = await first.initialize("2025-06-18")
    assert (await second.session_call(session, raw.handshake("tools/call", **ADD))).status == 200
    await first.close()
    reply = await second.session_call(session, raw.handshake("tools/call", **ADD))
    assert reply.json["result"]["content"][0]["text"] == "5"


@pytest.mark.behaviour("session.delete", transport="http", era="handshake")
async def test_delete_ends_the_session_at_every_worker_also_at_one_that_starts_later(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    session, other = await first.initialize(), await first.initialize()
    assert (await second.session_call(session, raw.handshake("tools/list"))).status == 200
    assert (await first.delete(session)).status == 200
    third = await serve(bus=bus)
    for served in (first, second, third):
        assert (await served.session_call(session, raw.handshake("tools/list"))).status == 404
        assert (await served.session_call(other, raw.handshake("tools/list"))).status == 200
    assert (await first.delete(session)).status == 404


@pytest.mark.behaviour("timeouts.session-idle", transport="http", era="handshake")
async def test_a_session_that_is_not_used_ends(serve, raw):
    served = await serve(mcp={"session_idle_s": 0.2})
    session = await served.initialize()
    await asyncio.sleep(0.3)  # the time itself is what is tested
    assert (await served.session_call(session, raw.handshake("tools/list"))).status == 404


@pytest.mark.parametrize("worker", [0, 1])
async def test_one_session_too_many_is_503_until_another_is_ended(serve, raw, worker):
    bus = LocalBus()
    workers = [await serve(bus=bus, mcp={"max_sessions": 2}) for _ in range(2)]
    sessions = [await workers[0].initialize() for _ in range(2)]
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "c", "version": "1"},
    }
    reply = await (await workers[worker].connect()).call(raw.handshake("initialize", 7, **params))
    assert (reply.status, reply.headers["retry-after"]) == (503, "60")
    assert (reply.json["id"], reply.json["error"]["code"]) == (7, -31506)
    assert "mcp-session-id" not in reply.headers
    assert workers[worker].rejected("sessions") == 1
    assert (await workers[0].session_call(sessions[0], raw.handshake("tools/list"))).status == 200
    assert (await workers[1].delete(sessions[1])).status == 200
    assert await workers[worker].initialize()


@pytest.mark.behaviour("errors.never-404-in-a-session", transport="http", era="handshake")
async def test_errors_never_look_like_a_lost_session(serve, raw):
    served = await serve()
    session = await served.initialize()
    for method in ("no/such", "server/discover", "subscriptions/listen"):
        reply = await served.session_call(session, raw.handshake(method))
        assert (reply.status, reply.json["error"]["code"]) == (200, -32601), method


@pytest.mark.behaviour("messages.notification-is-202", transport="http", era="handshake")
async def test_notifications_and_responses_are_taken_with_202(serve, raw):
    served = await serve()
    session = await served.initialize()
    for message in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": 12345, "result": {}},
    ):
        reply = await served.session_call(session, message)
        assert (reply.status, reply.body) == (202, b"")


@pytest.mark.behaviour("disconnect.does-not-cancel", transport="http", era="handshake")
async def test_a_disconnect_does_not_cancel_the_call(serve, raw):
    served = await serve()
    session = await served.initialize()
    client = await served.connect()
    await client.post(raw.handshake("tools/call", name="wait"), headers={"mcp-session-id": session})
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    client.close()
    await raw.until(lambda: served.runtime.counts().connections == 1)
    assert served.runtime.counts().in_flight == 1
    served.workshop.release.set()
    await raw.until(lambda: served.runtime.counts().in_flight == 0)
    assert "waited" in served.workshop.log
    assert not served.workshop.cancelled.is_set()


@pytest.mark.behaviour("workers.cancel-anywhere", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_cancelled_call_ends_wherever_the_notification_arrives(serve, raw, worker):
    bus = LocalBus()
    workers = [await serve(bus=bus), await serve(bus=bus)]
    session = await workers[0].initialize()
    client = await workers[0].connect()
    await client.post(raw.handshake("tools/call", "c1", name="wait"), headers={"mcp-session-id": session})
    await asyncio.wait_for(workers[0].workshop.started.wait(), 5)
    stranger = await workers[worker].initialize()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c1"}}
    await workers[worker].session_call(stranger, note)
    assert workers[0].runtime.counts().in_flight == 1, "another session cannot cancel it"
    await workers[worker].session_call(session, note)
    await asyncio.wait_for(workers[0].workshop.cancelled.wait(), 5)
    reply = await client.reply()
    assert (reply.status, reply.json["error"]["code"]) == (200, -32800)
    assert workers[0].outcomes("tools/call") == {"cancelled": 1}


@pytest.mark.behaviour("workers.answer-anywhere", transport="http", era="handshake")
@pytest.mark.parametrize("worker", [0, 1])
async def test_an_answer_to_the_server_may_reach_any_worker(serve, raw, worker):
    bus = LocalBus()
    workers = [await serve(bus=bus), await serve(bus=bus)]
    session = await workers[0].initialize(capabilities={"elicitation": {}})
    stranger = await workers[0].initialize(capabilities={"elicitation": {}})
    client = await workers[0].connect()
    await client.post(raw.handshake("tools/call", name="ask_name"), headers={"mcp-session-id": session})
    assert (await client.head()).headers["content-type"] == "text/event-stream"
    events = client.events()
    question = await anext(events)
    assert question["method"] == "elicitation/create"
    forged = {
        "jsonrpc": "2.0",
        "id": question["id"],
        "result": {"action": "accept", "content": {"name": "Eve"}},
    }
    assert (await workers[worker].session_call(stranger, forged)).status == 202
    answer = {**forged, "result": {"action": "accept", "content": {"name": "Ada"}}}
    assert (await workers[worker].session_call(session, answer)).status == 202
    assert (await anext(events))["result"]["content"][0]["text"] == "Ada"


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**64), 10**400])
@pytest.mark.parametrize("worker", [0, 1])
async def test_numbers_of_any_size_in_an_answer_or_a_cancellation_harm_nobody(serve, raw, worker, number):
    bus = LocalBus()
    workers = [await serve(bus=bus), await serve(bus=bus)]
    session = await workers[0].initialize(capabilities={"elicitation": {}})
    client = await workers[0].connect()
    await client.post(raw.handshake("tools/call", name="ask_name"), headers={"mcp-session-id": session})
    await client.head()
    events = client.events()
    question = await anext(events)
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
    nobody = {"jsonrpc": "2.0", "id": 1, "result": {"n": number}}
    result = {"action": "accept", "content": {"name": "Ada"}, "_meta": {"n": number}}
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": result}
    for message in (cancelled, nobody, answer):
        assert (await workers[worker].session_call(session, message)).status == 202
    assert (await anext(events))["result"]["content"][0]["text"] == "Ada"


@pytest.mark.behaviour("asking.error-of-the-client", transport="http", era="handshake")
async def test_an_error_of_the_client_reaches_the_handler_that_asked(serve, raw):
    served = await serve()
    session = await served.initialize(capabilities={"elicitation": {}})
    client = await served.connect()
    await client.post(raw.handshake("tools/call", name="ask_name"), headers={"mcp-session-id": session})
    await client.head()
    events = client.events()
    question = await anext(events)
    refusal = {"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "not now"}}
    await served.session_call(session, refusal)
    assert (await anext(events))["error"]["message"] == "not now"


@pytest.mark.behaviour("messages.response-without-a-session", transport="http", era="modern")
async def test_a_response_of_a_modern_looking_client_without_session_is_no_handshake(serve, raw):
    served = await serve()
    reply = await (await served.connect()).call({"jsonrpc": "2.0", "id": 1, "result": {}})
    assert reply.status == 400
