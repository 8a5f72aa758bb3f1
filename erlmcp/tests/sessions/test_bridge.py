"""Hosts over a line that loses, repeats and breaks: each knows what it has missed and who is gone."""

import pytest

from erlmcp.sessions import outbox
from erlmcp.sessions.bus import RESOURCE_UPDATED, SESSION_USED, TOOLS, WORKER_GONE, BusEvent
from erlmcp.sessions.hosts.bridge import MAX_BATCH_LETTERS, Bridge
from erlmcp.sessions.hosts.letters import MAX_EVENT_BYTES, MAX_HOSTS, Letters
from erlmcp.sessions.hosts.peers import Heard, Peers
from erlmcp.sessions.sealed import KeyRing

TIMEOUT_S = 3.0
KEY = bytes(32)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A bridge, what it has heard, and a line that a test moves."""

    def __init__(self, number: int, clock: Clock, key: bytes = KEY) -> None:
        self.name = f"{number:016x}"
        self.heard: list[BusEvent] = []
        self.gaps = 0
        self.cuts: list[str] = []
        letters = Letters(KeyRing([key]), self.name, clock)
        self.bridge = Bridge(letters, TIMEOUT_S, clock, on_event=self.heard.append, on_gap=self._gap)
        self.bridge.line = self

    def _gap(self) -> None:
        self.gaps += 1

    def wake(self) -> None: ...

    def cut(self, why: str) -> None:
        self.cuts.append(why)

    def say(self, *hosts: "Host", lose: bool = False) -> list[bytes]:
        """Everything that waits goes to these hosts, a sign of life with it."""
        letters = [self.bridge.sign_of_life()]
        while batch := self.bridge.take():
            letters += batch
        for host in () if lose else hosts:
            for letter in letters:
                host.bridge.hear(letter)
        return letters


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pair(clock):
    found = Host(1, clock), Host(2, clock)
    for each in found:
        each.bridge.line_up()
        each.gaps = 0
    return found


def used(number) -> BusEvent:
    return BusEvent(SESSION_USED, str(number))


def test_events_arrive_once_and_in_order_and_equal_changes_once(pair):
    here, there = pair
    for number in range(MAX_BATCH_LETTERS + 5):
        here.bridge.send(used(number))
        here.bridge.send(BusEvent(TOOLS))
    letters = here.say(there)
    assert there.heard == [*map(used, range(MAX_BATCH_LETTERS + 5)), BusEvent(TOOLS)]
    for letter in letters:
        there.bridge.hear(letter)
        here.bridge.hear(letter)
    assert len(there.heard) == MAX_BATCH_LETTERS + 6, "what comes again is known"
    assert (here.heard, here.gaps, there.gaps) == ([], 0, 0)


def test_a_letter_that_is_lost_is_a_gap_as_soon_as_the_next_one_comes(pair):
    here, there = pair
    here.say(there)
    here.bridge.send(used(1))
    here.say(there, lose=True)
    assert there.gaps == 0
    here.say(there)
    assert (there.gaps, there.heard) == (1, [])
    here.say(there)
    assert there.gaps == 1


def test_what_did_not_fit_while_the_line_was_away_is_a_gap_for_the_others(pair, monkeypatch):
    monkeypatch.setattr(outbox, "MAX_WAITING_EVENTS", 10)
    here, there = pair
    here.say(there)
    for number in range(30):
        here.bridge.send(used(number))
    here.say(there)
    assert there.heard == [used(number) for number in range(20, 30)]
    assert there.gaps == 1
    assert here.bridge.counts.dropped == 20


def test_an_event_that_is_too_large_is_left_out_and_is_no_gap(pair):
    here, there = pair
    here.bridge.send(BusEvent(SESSION_USED, "", bytes(MAX_EVENT_BYTES + 1)))
    here.bridge.send(used(1))
    here.say(there)
    assert (there.heard, there.gaps, here.bridge.counts.dropped) == ([used(1)], 0, 1)


def test_a_host_that_says_nothing_is_gone_and_its_workers_with_it(pair, clock):
    here, there = pair
    here.say(here, there)
    assert there.bridge.hosts == 1
    clock.now += TIMEOUT_S
    there.say(there)
    there.bridge.look_around()
    assert there.heard == []
    clock.now += 0.1
    there.bridge.look_around()
    assert there.heard == [BusEvent(WORKER_GONE, f"{here.name}:")]
    assert there.bridge.hosts == 0
    here.say(there)
    assert there.gaps == 1, "it is back, and something was missed"


def test_a_line_on_which_we_do_not_hear_ourselves_is_cut(pair, clock):
    here, there = pair
    clock.now += TIMEOUT_S
    here.say(there)
    here.bridge.look_around()
    assert here.cuts == []
    clock.now += 0.1
    here.bridge.look_around()
    assert "nothing we say comes back" in here.cuts[0]


def test_while_the_line_is_down_nobody_is_declared_gone(pair, clock):
    here, there = pair
    here.say(there)
    there.bridge.line_down("no route")
    clock.now += 10 * TIMEOUT_S
    there.bridge.look_around()
    assert there.heard == []
    assert there.bridge.description() == "down for 30 s: no route"
    there.bridge.line_up()
    there.say(there)
    there.bridge.look_around()
    assert (there.heard, there.gaps) == ([], 1)


def test_how_long_it_takes_there_and_back_is_known(pair, clock):
    here, there = pair
    sign = here.bridge.sign_of_life()
    clock.now += 0.004
    here.bridge.hear(sign)
    there.say(here)
    assert here.bridge.description() == "1 other hosts, 4.0 ms there and back"


def test_letters_of_hosts_with_other_keys_are_refused_and_told(pair, clock):
    here, _ = pair
    stranger = Host(3, clock, key=bytes([1]) * 32)
    stranger.bridge.send(BusEvent(RESOURCE_UPDATED, "note://1"))
    stranger.say(here)
    here.bridge.hear(b"PING")
    assert (here.heard, here.bridge.counts.refused) == ([], 3)
    assert "3 letters refused" in here.bridge.description()


def test_an_event_of_a_release_that_we_do_not_know_is_passed_over(pair):
    here, there = pair
    here.bridge.send(BusEvent("invented-later"))
    here.bridge.send(used(1))
    here.say(there)
    assert (there.heard, there.gaps, there.bridge.counts.refused) == ([used(1)], 0, 0)


def test_no_more_hosts_than_there_may_be_are_listened_to():
    peers = Peers(TIMEOUT_S)
    for number in range(MAX_HOSTS):
        assert peers.hear(str(number), 1, 0.0) is Heard.NEXT
    assert peers.hear("one too many", 1, 0.0) is Heard.OLD
    assert peers.hear("0", 2, 0.0) is Heard.NEXT
    assert len(peers) == MAX_HOSTS
