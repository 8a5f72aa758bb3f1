"""What the tests of notes share: a clock that stands still until told, and a server over a fresh notebook."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from mcp.client import Client

from notes.releases import RELEASES
from notes.server import build


class Clock:
    """Moves one second each time it is read, so that the order of changes is the order of times."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client_of(tmp_path, clock) -> Callable[..., Client]:
    """Gives a client that is connected, in this process, to a server of one release."""

    def connect(version: str = "1.1.0", **options: object) -> Client:
        server = build(RELEASES[version], str(tmp_path / "notes.sqlite"), clock)
        return Client(server, **options)

    return connect
