"""A flood of refused requests has so many lines a second, and a sum of the rest."""

import json
import logging

import pytest

from erlmcp.telemetry.correlation import Correlation
from erlmcp.telemetry.logs import JsonLines, Log
from erlmcp.telemetry.refusals import Refusals

MOST = 3


class Loop:
    """Calls back when a test says that the time has come."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay_s, callback):
        timer = Timer(self, delay_s, callback)
        self.timers.append(timer)
        return timer

    def second(self):
        due, self.timers = self.timers, []
        for timer in due:
            timer.callback()


class Timer:
    def __init__(self, loop, delay_s, callback):
        self.loop, self.delay_s, self.callback = loop, delay_s, callback

    def cancel(self):
        self.loop.timers.remove(self)


@pytest.fixture
def refusals(caplog):
    """The refusals, their loop, and a function that tells the lines."""
    caplog.set_level(logging.INFO)
    loop = Loop()

    def lines():
        return [json.loads(JsonLines("g1").format(record)) for record in caplog.records]

    return Refusals(Log("test"), loop, MOST), loop, lines


def note(refusals, count, method=b"POST", status=408):
    for _ in range(count):
        refusals.note(method, status, Correlation())


def events(lines):
    return [line["event"] for line in lines]


def test_so_many_have_a_line_of_their_own_and_the_rest_is_a_sum_by_kind(refusals):
    noted, loop, lines = refusals
    note(noted, MOST)
    note(noted, 5)
    note(noted, 2, b"", 400)
    assert events(lines()) == ["refused"] * MOST
    loop.second()
    *_, late, malformed = lines()
    assert [(each["http_method"], each["status"], each["count"]) for each in (late, malformed)] == [
        ("POST", 408, 5),
        ("", 400, 2),
    ]
    assert late["event"] == "refused-more"


def test_no_more_than_so_many_in_a_second_says_nothing_more_and_the_next_second_begins_anew(refusals):
    noted, loop, lines = refusals
    for _ in range(3):
        note(noted, MOST)
        loop.second()
    assert events(lines()) == ["refused"] * (3 * MOST)
    assert loop.timers == [], "without refusals nothing wakes up"


def test_at_the_end_the_sum_is_still_written(refusals):
    noted, loop, lines = refusals
    note(noted, MOST + 7)
    noted.close()
    assert lines()[-1]["count"] == 7
    assert loop.timers == []
    noted.close()
    assert len(lines()) == MOST + 1
