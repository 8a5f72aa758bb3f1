"""Servers for the journeys: notes on the SDK's own HTTP application, and one that answers what it is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn

from notes.releases import RELEASES
from notes.server import build

ROOT = Path(__file__).resolve().parent.parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # the demo is a program of the repository, not an installed package

from demo.waiting import until  # noqa: E402 - after the path is set

HOST = "127.0.0.1"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the clock of a real server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def notes_over_http(tmp_path):
    """Gives a context with a running notes server: the server object and its port."""

    @asynccontextmanager
    async def run(version: str = "1.1.0") -> AsyncIterator[tuple[object, int]]:
        server = build(RELEASES[version], str(tmp_path / "notes.sqlite"), utc_now)
        config = uvicorn.Config(server.streamable_http_app(), host=HOST, port=0, log_level="critical")
        http = uvicorn.Server(config)
        task = asyncio.create_task(http.serve())
        try:
            await until(lambda: http.started, timeout_s=10)
            yield server, http.servers[0].sockets[0].getsockname()[1]
        finally:
            http.should_exit = http.force_exit = True
            await task

    return run


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """A server that treats each connection with ``answer``; gives its port."""
    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def raw_server():
    return answering
