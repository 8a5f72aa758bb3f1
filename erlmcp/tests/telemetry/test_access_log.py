"""The access log writes the lines that the log would have written, a moment later and many at once."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random

import pytest

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry import logs
from erlmcp.telemetry.access import AccessLog

NAME = "erlmcp.transports.streamable_http.service"


@pytest.fixture
def root():
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    before = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], level = before
    logger.setLevel(level)


@pytest.fixture
def written(root, tmp_path):
    """What a configured log has written since."""
    descriptor = logs.open_log_file(str(tmp_path / "log"))
    logs.configure(LogSettings(), descriptor=descriptor, generation="g1")
    yield lambda: (tmp_path / "log").read_text().splitlines()
    os.close(descriptor)


async def _log(chance=lambda: 0.5, **settings) -> AccessLog:
    return AccessLog(NAME, asyncio.get_running_loop(), LogSettings(**settings), chance)


def test_a_line_is_the_one_that_the_log_would_have_written(written):
    async def note() -> None:
        access = await _log()
        access.note("tools/call", "modern", "ok", 0.0012345)
        access.flush()
        fields = {"method": "tools/call", "era": "modern", "outcome": "ok", "duration_ms": 1.234}
        logs.Log(NAME).info("request", **fields)

    asyncio.run(note())
    quick, ordinary = (json.loads(line) for line in written())
    assert quick.pop("ts")[:16] <= ordinary.pop("ts")[:16]
    assert list(quick.items()) == list(ordinary.items())


def test_a_method_invented_by_a_client_is_escaped_and_redacted(written):
    async def note() -> None:
        access = await _log()
        access.note('tools/"call\n token=hunter2secret', "modern", "client_error", 0.0)
        access.flush()

    asyncio.run(note())
    [line] = written()
    assert json.loads(line)["method"].startswith('tools/"call\n')
    assert "hunter2secret" not in line


def test_lines_come_within_a_moment_without_being_asked_for(written):
    async def note() -> None:
        access = await _log()
        for _ in range(3):
            access.note("tools/call", "modern", "ok", 0.0)
        assert written() == []
        async with asyncio.timeout(10):
            while len(written()) < 3:  # noqa: ASYNC110 - the file is all there is to look at
                await asyncio.sleep(0.01)

    asyncio.run(note())


def test_many_lines_are_written_before_they_are_kept_long(written):
    async def note() -> None:
        access = await _log()
        for _ in range(1_024):
            access.note("tools/call", "modern", "ok", 0.0)
        assert len(written()) == 1_024

    asyncio.run(note())


def test_nothing_is_written_below_the_level(written):
    async def note() -> None:
        logs.set_level("error")
        access = await _log()
        access.note("tools/call", "modern", "ok", 0.0)
        access.flush()

    asyncio.run(note())
    assert written() == []


def test_another_set_up_of_logging_gets_its_records(root, caplog):
    async def note() -> None:
        access = await _log()
        access.note("tools/call", "modern", "ok", 0.0)
        access.flush()

    caplog.set_level(logging.INFO)
    asyncio.run(note())
    [record] = [r for r in caplog.records if r.name == NAME]
    assert record.getMessage() == "request"
    assert record.erlmcp_fields["method"] == "tools/call"


@pytest.mark.parametrize(("chance", "count"), [(0.09, 1), (0.1, 0), (0.99, 0)])
def test_of_requests_that_went_well_a_share_gets_lines_which_tell_the_share(written, chance, count):
    async def note() -> None:
        access = await _log(lambda: chance, access_sample=0.1)
        access.note("tools/call", "modern", "ok", 0.999)
        access.note("invented", "modern", "ok", 0.999)
        access.flush()

    asyncio.run(note())
    assert [json.loads(line)["sample"] for line in written()] == [0.1] * 2 * count


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [("ok", 1.0), ("tool_error", 0.0), ("client_error", 0.0), ("server_error", 0.0), ("timeout", 2.0)],
)
def test_errors_and_slow_requests_always_get_their_line(written, outcome, seconds):
    async def note() -> None:
        access = await _log(lambda: 0.999, access_sample=0.0, access_slow_s=1.0)
        access.note("tools/call", "modern", outcome, seconds)
        access.note("invented", "modern", outcome, seconds)
        access.flush()

    asyncio.run(note())
    assert [json.loads(line)["sample"] for line in written()] == [1, 1]


def test_counts_can_be_restored_from_a_sample(written):
    async def note() -> None:
        access = await _log(random.Random(7).random, access_sample=0.2)
        for number in range(5_000):
            access.note("tools/call", "modern", "ok" if number % 50 else "tool_error", 0.0)
        access.flush()

    asyncio.run(note())
    lines = [json.loads(line) for line in written()]
    assert sum(line["outcome"] == "tool_error" for line in lines) == 100
    restored = sum(1 / line["sample"] for line in lines)
    assert 4_600 < restored < 5_400


def test_without_sampling_no_line_speaks_of_it(written):
    async def note() -> None:
        access = await _log()
        access.note("tools/call", "modern", "ok", 0.0)
        access.flush()

    asyncio.run(note())
    assert "sample" not in written()[0]
