"""A guest's own HTTP routes beside the MCP endpoint."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from contextlib import asynccontextmanager

import pytest

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.config.schema import HttpSettings, LimitSettings, McpSettings, Settings
from erlmcp.dispatch import sdk_private
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime


@pytest.fixture
def anyio_backend():
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture
async def start(anyio_backend, guests, process_state, monkeypatch):
    monkeypatch.syspath_prepend(str(guests))

    @asynccontextmanager
    async def started(target="routes:server", **more):
        runtime = await GuestRuntime.start(
            target,
            settings=Settings(http=HttpSettings(max_body_bytes=1000), **more),
            keys=KeyRing([KeyRing.generate()]),
            bus=LocalBus(),
            meter=Meter(),
        )
        with socket.create_server(("127.0.0.1", 0)) as sock:
            sock.setblocking(False)
            runtime.listen(sock, "public")
            try:
                yield Client(runtime, sock.getsockname()[1])
            finally:
                await runtime.close()

    return started


class Client:
    def __init__(self, runtime, port):
        self.runtime = runtime
        self.port = port

    async def ask(self, method, target, body=b"", **fields):
        """Status, head and body of one request on its own connection."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            writer.write(
                f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}"
                f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            answer = await reader.read()
            writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head.decode().lower(), rest.decode()


@pytest.mark.anyio
async def test_a_route_of_the_guest_is_served_with_query_path_body_and_fields(start):
    async with start() as client:
        status, head, body = await client.ask("GET", "/healthz?a=b%20c")
        assert (status, json.loads(body)) == (200, {"status": "ok", "query": "a=b%20c", "host": "127.0.0.1"})
        assert "content-type: application/json" in head
        status, head, body = await client.ask("POST", "/notes/a%20b", b"text")
        assert (status, body) == (201, "a b: text")
        assert "x-made: yes" in head
        assert (await client.ask("HEAD", "/healthz"))[0::2] == (200, "")
        assert (await client.ask("GET", "/teapot"))[0::2] == (418, "short and stout")


@pytest.mark.anyio
async def test_routes_of_a_fastmcp_and_of_what_it_mounts_are_served(start):
    async with start("routes:fast") as client:
        assert (await client.ask("GET", "/healthz"))[0] == 200
        assert (await client.ask("GET", "/child"))[0::2] == (200, "from the child")


@pytest.mark.anyio
async def test_a_guest_that_asks_for_tokens_is_warned_of_and_another_is_not(start, caplog):
    async with start():
        pass
    assert caplog.text == ""
    async with start("routes:guarded"):
        pass
    assert "guest.auth-not-enforced: guarded" in caplog.text


@pytest.mark.anyio
async def test_a_guest_that_asks_for_tokens_is_not_warned_of_when_erlmcp_asks(start, caplog, tmp_path):
    (tmp_path / "tokens").touch(0o600)
    async with start("routes:guarded", auth=AuthSettings(tokens_file=str(tmp_path / "tokens"))):
        pass
    assert "guest.auth-not-enforced" not in caplog.text


@pytest.mark.anyio
async def test_only_declared_paths_are_served_and_the_endpoint_comes_first(start):
    async with start() as client:
        assert (await client.ask("GET", "/"))[0] == 404
        assert (await client.ask("GET", "/healthz/"))[0] == 404
        assert (await client.ask("POST", "/healthz"))[0] == 405
        assert "never served" not in (await client.ask("POST", "/mcp"))[2]
    async with start("plain_object:server") as client:
        assert (await client.ask("GET", "/healthz"))[0] == 404


@pytest.mark.anyio
async def test_the_guard_of_the_endpoint_holds_for_routes_too(start):
    async with start() as client:
        assert (await client.ask("GET", "/healthz", Origin="http://evil.example"))[0] == 403


@pytest.mark.anyio
async def test_an_answer_is_bounded_at_its_edge(start):
    async with start() as client:
        assert (await client.ask("GET", "/large?pieces=10"))[0] == 200
        assert (await client.ask("GET", "/large?pieces=11"))[0] == 500
        assert (await client.ask("POST", "/notes/a", b"x" * 1001))[0] == 413


@pytest.mark.anyio
async def test_a_route_that_fails_tells_nothing_and_forges_nothing(start, caplog):
    async with start() as client:
        status, _, body = await client.ask("GET", "/raises")
        assert (status, body) == (500, "internal error\n")
        assert "secret" in caplog.text
        status, head, _ = await client.ask("GET", "/forges")
        assert status == 500
        assert "x-forged" not in head


@pytest.mark.anyio
async def test_a_route_that_hangs_is_ended_by_the_time_limit_and_is_cancelled_when_the_client_goes(start):
    async with start(mcp=McpSettings(request_timeout_s=0.2)) as client:
        assert (await client.ask("GET", "/waits"))[0] == 504
    async with start(limits=LimitSettings(max_in_flight=1)) as client:
        cancelled = sys.modules["routes"].cancelled
        cancelled.clear()
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"GET /waits HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await _until(lambda: client.runtime.counts().in_flight == 1)
        assert (await client.ask("GET", "/healthz"))[0] == 503
        writer.close()
        await _until(lambda: cancelled == ["/waits"])
        await _until(lambda: client.runtime.counts().in_flight == 0)
        assert (await client.ask("GET", "/healthz"))[0] == 200


async def _until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is anything a test can look at
            await asyncio.sleep(0.005)


def test_a_server_of_an_unknown_shape_has_no_routes():
    assert sdk_private.http_routes(object()) == []


@pytest.mark.anyio
async def test_the_rate_of_an_address_counts_routes_too(start):
    async with start(limits=LimitSettings(requests_per_s=0.001, burst=1)) as client:
        assert (await client.ask("GET", "/healthz"))[0] == 200
        status, head, _ = await client.ask("GET", "/healthz")
        assert status == 429
        assert "retry-after: " in head
