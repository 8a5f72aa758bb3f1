"""A call that may be answered at once is refused, counted and ended like any other."""

from __future__ import annotations

from typing import Any

import pytest

from erlmcp.edge.rate_limit import Rate

MODERN = "2026-07-28"
SESSION = "2025-11-25"
VERSIONS = pytest.mark.parametrize("version", [MODERN, SESSION])


async def add(a: int) -> int:
    return a + 1


async def ask(bench: Any, version: str, request_id: int = 1) -> Any:
    return await bench.call(request_id, "tool", {"a": 1}, version, chunked=False)


def run(bench, loop, use):
    """Use the bench while it offers a tool that never waits; its first call makes the second one at once."""

    async def main() -> None:
        async with bench.offered(add):
            await use()

    loop.run(main())


@VERSIONS
def test_it_is_counted_and_timed_like_any_other(bench, loop, version):
    service = bench.runtime._service

    async def use() -> None:
        await ask(bench, version)
        before = service.meter.snapshot()
        await ask(bench, version, 2)
        after = service.meter.snapshot()
        assert bench.at_once == 1
        era = "modern" if version == MODERN else "handshake"
        row = ["tools/call", era, "streamable-http", "ok"]
        counted = [{tuple(r[:4]): r[4] for r in shot["requests"]}[tuple(row)] for shot in (before, after)]
        assert counted == [1, 2]
        timed = [sum(shot["durations"]["tools/call"]["buckets"]) for shot in (before, after)]
        assert timed == [1, 2]
        assert service.in_flight == 0

    run(bench, loop, use)


@VERSIONS
def test_it_takes_one_token_of_the_rate_and_is_refused_when_there_is_none(bench, loop, version):
    limit = bench.runtime._service.rate_limit

    async def use() -> None:
        await ask(bench, version)
        limit.enabled, limit._address = True, Rate(0.001, 2)
        assert b"200" in (await ask(bench, version, 2))[0][0]
        assert b"200" in (await ask(bench, version, 3))[0][0]
        assert bench.at_once == 2
        assert b"429" in (await ask(bench, version, 4))[0][0]
        assert bench.at_once == 2

    run(bench, loop, use)


@VERSIONS
def test_it_is_refused_when_too_many_calls_are_running(bench, loop, version):
    service = bench.runtime._service

    async def use() -> None:
        await ask(bench, version)
        service._max_in_flight = 0
        lines, _ = await ask(bench, version, 2)
        assert b"503" in lines[0]
        assert bench.at_once == 0

    run(bench, loop, use)


def test_a_session_that_was_ended_is_gone_for_it_too(bench, loop):
    async def use() -> None:
        await ask(bench, SESSION)
        assert b"200" in (await ask(bench, SESSION, 2))[0][0]
        assert bench.at_once == 1
        facts = bench.runtime._handshake._sessions.open(bench.sessions[SESSION])
        bench.runtime._handshake._sessions.end(facts)
        lines, _ = await ask(bench, SESSION, 3)
        assert b"404" in lines[0]
        assert bench.at_once == 1

    run(bench, loop, use)


@VERSIONS
def test_while_the_worker_drains_its_answer_closes_the_connection(bench, loop, version):
    async def use() -> None:
        await ask(bench, version)
        bench.runtime.begin_drain()
        lines, _ = await ask(bench, version, 2)
        assert b"connection: close" in lines
        assert bench.at_once == 0

    run(bench, loop, use)
