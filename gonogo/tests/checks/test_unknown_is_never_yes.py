"""No check passes when its subject is dead, silent, garbage or empty. Over all checks, whatever they are."""

import asyncio
import contextlib
import dataclasses
from contextlib import asynccontextmanager

import pytest
from check_world import StagedProvider, World, asking, committed, manifest_for, settings_for

from gonogo.checks.registry import load_checks
from gonogo.model.errors import GonogoError
from gonogo.model.finding import Answer

BROKEN_MANIFEST = {"config": {"mcp.allowed_origins": ["*"]}, "env": {}}
CHECKS = tuple(load_checks())


async def no_baseline():
    raise GonogoError("baseline.unreachable", "no sample could be read")


@asynccontextmanager
async def service_that(serve):
    """A TCP service that answers every connection as ``serve`` does."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def slams_the_door(_reader, writer):
    writer.close()


async def says_nothing(reader, writer):
    await reader.read()
    writer.close()


def always(head, body):
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(head + f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    return serve


JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SERVICES = {
    "slams the door": slams_the_door,
    "says nothing": says_nothing,
    "answers garbage": always(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", b"<html>It works!</html>"),
    "answers an empty body": always(JSON_HEAD, b""),
    "answers an empty object": always(JSON_HEAD, b"{}"),
    "answers an empty list": always(JSON_HEAD, b"[]"),
    "answers numbers": always(JSON_HEAD, b'{"status": 7, "components": 7, "values": 7, "result": 7}'),
    "speaks something else": always(b"SMTP ready\r\n", b""),
    "fails": always(b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\n", b'{"error": "oh"}'),
}


async def answers(tmp_path, url, world_changes, scratch_url=None, stack=None):
    repo = world_changes.pop("repo", None) or committed(tmp_path / "empty", {})
    world = World(
        repo=repo,
        settings=settings_for(
            base_url=url,
            admin_url=url,
            commands={"scratch": ["false"], "unit_tests": ["false"]},
        ),
        manifest=manifest_for(**BROKEN_MANIFEST),
        baseline=no_baseline,
        deadline_s=0.6,
        **world_changes,
    )
    if scratch_url:
        world.scratch = lambda: StagedProvider(
            stack, base_url=scratch_url, candidate_url=scratch_url, admin_url=scratch_url
        )
    return await asking(world, tmp_path / "state", *CHECKS)


def passed(found):
    return [f"{f.check_id}: {f.reason}" for f in found.values() if f.answer in {Answer.PASS, Answer.WARN}]


def test_nothing_passes_when_everything_is_dead_and_the_repository_is_empty(tmp_path):
    found = asyncio.run(answers(tmp_path, "http://127.0.0.1:9", {}))
    assert set(found) == set(CHECKS)
    assert passed(found) == []
    unknown = [f for f in found.values() if f.answer is Answer.UNKNOWN]
    assert len(unknown) > len(CHECKS) / 2
    assert all(f.reason for f in found.values())


def test_nothing_passes_outside_a_repository(tmp_path):
    (tmp_path / "bare").mkdir()
    found = asyncio.run(answers(tmp_path, "http://127.0.0.1:9", {"repo": tmp_path / "bare"}))
    assert passed(found) == []


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_passes_against_a_service_that(tmp_path, stack, service):
    """Production and the scratch copy's listeners are such a service; its control socket is real."""

    async def run():
        async with service_that(SERVICES[service]) as url:
            return await answers(tmp_path, url, {}, scratch_url=url, stack=stack)

    found = asyncio.run(run())
    assert set(found) == set(CHECKS)
    assert passed(found) == []


def test_a_check_that_breaks_is_unknown_and_says_so(tmp_path, monkeypatch):
    async def explode(_ctx):
        raise ZeroDivisionError("no numbers")

    checks = {k: dataclasses.replace(c, probe=explode, needs=frozenset()) for k, c in load_checks().items()}
    monkeypatch.setattr("check_world.load_checks", lambda: checks)
    found = asyncio.run(answers(tmp_path, "http://127.0.0.1:9", {}))
    assert {f.answer for f in found.values()} == {Answer.UNKNOWN}
    assert all("ZeroDivisionError" in f.reason for f in found.values())
