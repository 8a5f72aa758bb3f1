"""The list of a guest's tools is asked for rarely; a guest that cannot tell it is not asked each time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

from erlmcp.dispatch.listed_tools import FAILED_S, KEPT_S, ListedTools
from erlmcp.sessions.bus import TOOLS, BusEvent, LocalBus

NOT_OFFERED = MCPError(code=METHOD_NOT_FOUND, message="Method not found")


class Guest:
    """Lists two pages of tools, or raises."""

    def __init__(self) -> None:
        self.asked = 0
        self.fault: Exception | None = None

    async def list_page(self, cursor: str | None) -> dict[str, Any]:
        if cursor is None:
            self.asked += 1
        if self.fault is not None:
            raise self.fault
        if cursor is None:
            return {"tools": [{"name": "first"}], "nextCursor": "more"}
        return {"tools": [{"name": "second"}]}


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bus():
    return LocalBus()


@pytest.fixture
def listed(bus, clock):
    return ListedTools(bus, clock)


def find(listed: ListedTools, guest: Guest, name: str) -> Any:
    return asyncio.run(listed.find(name, guest.list_page))


def test_a_list_is_kept_for_a_while_and_all_its_pages_are_read(listed, clock):
    guest = Guest()
    assert find(listed, guest, "second") == {"name": "second"}
    assert find(listed, guest, "first") == {"name": "first"}
    assert find(listed, guest, "third") is None
    assert guest.asked == 1
    clock.now_s += KEPT_S
    find(listed, guest, "first")
    assert guest.asked == 2


def test_a_change_that_the_guest_tells_makes_it_asked_again(listed, bus):
    guest = Guest()
    find(listed, guest, "first")
    bus.publish(BusEvent(TOOLS, ""))
    find(listed, guest, "first")
    assert guest.asked == 2


def test_a_guest_that_lists_no_tools_is_asked_as_rarely_and_nothing_is_logged(listed, clock, caplog):
    guest = Guest()
    guest.fault = NOT_OFFERED
    for _ in range(100):
        assert find(listed, guest, "first") is None
    assert guest.asked == 1
    assert not caplog.records


def test_a_guest_that_fails_is_left_in_peace_for_a_moment_and_its_failure_is_logged_once(
    listed, clock, caplog
):
    guest = Guest()
    guest.fault = RuntimeError("the database is gone")
    with caplog.at_level(logging.ERROR):
        for _ in range(100):
            assert find(listed, guest, "first") is None
    assert guest.asked == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    guest.fault = None
    clock.now_s += FAILED_S
    assert find(listed, guest, "first") == {"name": "first"}
