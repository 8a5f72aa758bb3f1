"""What is counted of traffic: bytes both ways over each transport, sessions, subscriptions, judged tokens."""

import asyncio
import json

import pytest

from erlmcp.edge.auth.static_tokens import new_token
from erlmcp.transports.runtime import TCP

pytestmark = pytest.mark.anyio
WAYS = ("plain", "tls")
LIMIT_S = 20.0


async def test_bytes_are_those_that_went_over_http(serve, raw):
    served = await serve()
    client = await served.connect()
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    request = raw.post_bytes(message, headers=raw.modern_headers(message))
    for number in range(1, 4):  # from the second time on the head of the request is known
        before = served.meter.sent_bytes
        await client.send(request)
        reply = await client.reply()
        assert served.meter.received_bytes == number * len(request)
        sent = served.meter.sent_bytes - before
        assert len(reply.body) < sent < len(reply.body) + 500


async def test_bytes_are_those_that_went_over_tcp(serve, raw):
    served = await serve()
    sock = raw.listening_socket()
    served.runtime.listen(sock, TCP)
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1], ssl=served.tls)
    line = json.dumps(raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})).encode() + b"\n"
    answered = 0
    for number in range(1, 4):
        writer.write(line)
        async with asyncio.timeout(LIMIT_S):
            answered += len(await reader.readline())
        assert (served.meter.received_bytes, served.meter.sent_bytes) == (number * len(line), answered)
    writer.transport.abort()
    sock.close()


async def test_sessions_and_what_they_have_subscribed_to_are_counted_until_they_end(serve, raw):
    served = await serve()
    assert served.runtime.counts().sessions == 0
    session = await served.initialize()
    other = await served.initialize()
    for uri in ("note://one", "note://two", "note://one"):
        await served.session_call(session, raw.handshake("resources/subscribe", uri=uri))
    counts = served.runtime.counts()
    assert (counts.sessions, counts.subscriptions) == (2, 2)
    assert (await served.delete(session)).status == 200
    counts = served.runtime.counts()
    assert (counts.sessions, counts.subscriptions) == (1, 0)
    await served.delete(other)


async def test_each_judgement_of_a_token_is_counted_by_what_it_was(serve, raw, tmp_path):
    file = tmp_path / "tokens"
    file.touch(mode=0o600)
    alice, line = new_token("alice", ("a",))
    weak, weak_line = new_token("weak", ())
    file.write_text(f"{line}\n{weak_line}")
    served = await serve(auth={"tokens_file": str(file), "required_scopes": ("a",)})
    message = raw.modern("tools/call", name="add", arguments={"a": 1, "b": 2})
    client = await served.connect()
    for credential in (
        f"Bearer {alice}",
        f"Bearer {alice}",
        f"Bearer {alice}",
        None,
        "Bearer x",
        "Bearer",
        f"Bearer {weak}",
    ):
        given = {} if credential is None else {"authorization": credential}
        await client.call(message, headers={**raw.modern_headers(message), **given})
    assert served.meter.snapshot()["tokens"] == {
        "accepted": 3,
        "no-token": 1,
        "invalid-token": 1,
        "invalid-request": 1,
        "insufficient-scope": 1,
    }
