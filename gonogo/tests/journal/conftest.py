"""A journal, an evidence store and a clock that moves one second with each look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal


class TickingClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def journal(folder, clock) -> Iterator[Journal]:
    with Journal.open(folder, clock=clock, service="notes") as opened:
        yield opened


@pytest.fixture
def evidence(folder) -> EvidenceStore:
    return EvidenceStore(folder)
