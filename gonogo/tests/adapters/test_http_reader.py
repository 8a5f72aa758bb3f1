"""The HTTP reader: bounded in size and time, one attempt, secrets taken out of what is kept."""

import asyncio
import json

import pytest

from gonogo.adapters.http import HttpAnswer, HttpError, HttpReader


def run(serve, use, **limits):
    """What ``use(reader, base_url)`` gives against ``serve``, and the number of connections."""

    async def main():
        connections = 0

        async def counted(reader, writer):
            nonlocal connections
            connections += 1
            try:
                await serve(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(counted, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            async with HttpReader(**limits) as http:
                return await asyncio.wait_for(use(http, url), 10), connections
        finally:
            server.close()

    return asyncio.run(main())


def answering(body, head="HTTP/1.1 200 OK"):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()

    return serve


async def fault_of(http, url):
    with pytest.raises(HttpError) as caught:
        await http.get(url)
    return caught.value.error_id


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
def test_a_body_is_read_up_to_its_limit_and_never_cut(size, fits):
    async def use(http, url):
        return len((await http.get(url)).body) if fits else await fault_of(http, url)

    result, _ = run(answering(b"x" * size), use, max_body_bytes=1000)
    assert result == (1000 if fits else "http.too-large")


def test_a_peer_that_says_nothing_is_a_time_out():
    async def silent(reader, _writer):
        await reader.read()

    assert run(silent, fault_of, timeout_s=0.1) == ("http.timeout", 1)


def test_a_peer_that_drips_forever_is_a_time_out():
    async def drips(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.01)

    assert run(drips, fault_of, timeout_s=0.2)[0] == "http.timeout"


def test_a_connection_that_is_cut_is_tried_once_and_not_again():
    async def cuts(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")

    assert run(cuts, fault_of) == ("http.bad-answer", 1)


def test_what_is_not_http_is_a_bad_answer():
    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail ready\r\n\r\n")
        await writer.drain()

    assert run(other, fault_of)[0] == "http.bad-answer"


def test_nobody_listening_is_unreachable():
    async def main():
        async with HttpReader() as http:
            return await fault_of(http, "http://127.0.0.1:9")

    assert asyncio.run(main()) == "http.unreachable"


def test_a_redirect_is_an_answer_and_not_followed():
    async def use(http, url):
        return (await http.get(url)).status

    assert run(answering(b"", "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/"), use) == (302, 1)


def test_a_body_that_is_not_json_says_so():
    async def use(http, url):
        with pytest.raises(HttpError) as caught:
            (await http.get(url)).json()
        return caught.value.error_id

    assert run(answering(b"<html>"), use)[0] == "http.not-json"


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Set-Cookie", "Mcp-Session-Id", "X-Api-Key"])
def test_secrets_in_headers_are_never_kept(name):
    answer = HttpAnswer("GET", "http://x/", 200, ((name.lower(), "s3cr3t"), ("x-a", "seen")), b"{}", 0.1)
    kept = answer.as_reading().body
    assert b"s3cr3t" not in kept
    assert ["x-a", "seen"] in json.loads(kept)["headers"]


def refusing_then_answering(refusals, retry_after):
    """A peer that says 429 ``refusals`` times, then 200."""
    left = refusals

    async def serve(reader, writer):
        nonlocal left
        refused, left = left > 0, left - 1
        head = f"HTTP/1.1 429 Slow\r\nretry-after: {retry_after}" if refused else "HTTP/1.1 200 OK"
        await answering(b"", head)(reader, writer)

    return serve


@pytest.mark.parametrize(
    ("patient", "retry_after", "status", "connections"),
    [(True, "0", 200, 3), (False, "0", 429, 1), (True, "60", 429, 1), (True, "tomorrow", 429, 1)],
)
def test_only_a_patient_reader_waits_and_never_longer_than_its_time(
    patient, retry_after, status, connections
):
    async def use(http, url):
        return (await http.get(url)).status

    peer = refusing_then_answering(2, retry_after)
    assert run(peer, use, patient=patient, timeout_s=5.0) == (status, connections)
