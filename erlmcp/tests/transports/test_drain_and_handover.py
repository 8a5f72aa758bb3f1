"""What clients feel when a worker takes over from another: nothing. None of them retries anything."""

import asyncio

import pytest

from erlmcp.dispatch.errors import GuestError
from erlmcp.sessions.bus import LocalBus

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")


class Caller:
    """Calls without end on kept connections, opens a new one only when told so, and never retries."""

    def __init__(self, served, raw) -> None:
        self._served = served
        self._raw = raw
        self.answers = 0
        self.faults = []
        self.stop = False

    async def run(self) -> None:
        client = await self._served.connect()
        number = 0
        while not self.stop:
            number += 1
            message = self._raw.modern("tools/call", number, name="add", arguments={"a": number, "b": 1})
            try:
                reply = await client.call(message, headers=self._raw.modern_headers(message))
                assert reply.json["result"]["structuredContent"] == {"result": number + 1}
            except (OSError, asyncio.IncompleteReadError, AssertionError, KeyError) as fault:
                self.faults.append(repr(fault))
                client = await self._served.connect()
                continue
            self.answers += 1
            if reply.headers.get("connection") == "close":
                client.close()
                client = await self._served.connect()


@pytest.mark.behaviour("handover.no-call-fails", transport="http", era="modern")
async def test_no_call_fails_while_two_workers_hand_a_socket_to_and_fro(serve, raw):
    bus = LocalBus()
    first, second = await serve(bus=bus), await serve(bus=bus)
    second.runtime.stop_listening("public")
    callers = [Caller(first, raw) for _ in range(20)]
    running = [asyncio.create_task(caller.run()) for caller in callers]
    active, idle = first.runtime, second.runtime
    for _ in range(6):
        before = sum(caller.answers for caller in callers)
        await raw.until(lambda before=before: sum(caller.answers for caller in callers) > before + 200)
        idle.resume()
        idle.listen(first.sock, "public")
        active.stop_listening("public")
        active.begin_drain()
        active, idle = idle, active
    for caller in callers:
        caller.stop = True
    await asyncio.wait_for(asyncio.gather(*running), 10)
    assert [fault for caller in callers for fault in caller.faults] == []
    assert min(served.outcomes("tools/call")["ok"] for served in (first, second)) > 200


@pytest.mark.behaviour("drain.kept-connection", transport="http", era="modern")
async def test_an_idle_connection_outlives_the_start_of_a_drain_and_its_next_answer_says_so(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/list")
    assert "connection" not in (await client.call(message, headers=raw.modern_headers(message))).headers
    served.runtime.stop_listening("public")
    served.runtime.begin_drain()
    assert served.runtime.counts().connections == 1
    reply = await client.call(message, headers=raw.modern_headers(message))
    assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.behaviour("drain.resume", transport="http", era="modern")
async def test_after_resume_connections_are_kept_again(serve, raw):
    served = await serve()
    served.runtime.begin_drain()
    served.runtime.resume()
    client = await served.connect()
    message = raw.modern("tools/list")
    for _ in range(2):
        assert "connection" not in (await client.call(message, headers=raw.modern_headers(message))).headers


async def test_stopping_before_listening_has_begun_leaves_nothing_behind(serve, raw):
    served = await serve()
    sock = raw.listening_socket()
    served.runtime.listen(sock, "other")
    served.runtime.stop_listening("other")
    served.runtime.stop_listening("never was")
    await served.modern_call("tools/list")
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()
    sock.close()


@pytest.mark.behaviour("stop.leaves-the-lifespan", transport="http", era="any")
async def test_close_cancels_what_runs_leaves_the_lifespan_and_is_quick(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/call", name="wait")
    await client.post(message, headers=raw.modern_headers(message))
    await asyncio.wait_for(served.workshop.started.wait(), 5)
    async with asyncio.timeout(2):
        await served.runtime.close()
    assert served.workshop.log == ["entered", "left"]
    await raw.until(served.workshop.cancelled.is_set)
    await raw.until(lambda: served.runtime.counts().connections == 0)
    assert served.runtime.counts().in_flight == 0


@pytest.mark.parametrize(
    ("target", "error_id"),
    [
        ("no_such_package_at_all:server", "guest.not-found"),
        ("nothing.py:server", "guest.not-found"),
        ("workshop.py:missing", "guest.not-found"),
        ("workshop.py:state", "guest.wrong-type"),
        ("workshop:", "guest.bad-target"),
        ("workshop", "guest.not-found"),
        ("failing_import.py:server", "guest.import-failed"),
        ("failing_start.py:make", "guest.start-failed"),
        ("failing_start.py:server", "guest.start-failed"),
    ],
)
async def test_a_guest_that_cannot_be_served_is_named_with_its_reason(serve, target, error_id):
    with pytest.raises(GuestError) as caught:
        await serve(target)
    assert caught.value.error_id == error_id
    assert caught.value.hint


@pytest.mark.parametrize(
    ("target", "kind", "name", "version"),
    [
        ("workshop.py:server", "MCPServer", "workshop", "1.2.3"),
        ("workshop:fresh", "MCPServer", "workshop", "1.2.3"),
        ("plain.py:server", "Server", "plain", "9"),
        ("plain.py:make_listening", "Server", "listening", ""),
        ("fast.py:server", "FastMCP", "fast", "4.4"),
    ],
)
async def test_guests_of_each_kind_are_recognised(serve, target, kind, name, version):
    guest = (await serve(target)).runtime.guest
    assert (guest.kind, guest.name, guest.version) == (kind, name, version)
