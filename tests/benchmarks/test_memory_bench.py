"""The memory benchmark sees what is kept, and notices what is lost or wrong."""

import pytest
from benchmarks.http import machine
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import running
from benchmarks.http.targets import BARE, OURS_SESSION, SDK_DEFAULT, TARGETS
from benchmarks.memory.__main__ import Size
from benchmarks.memory.footprint import Footprint, of_sessions, of_streams, steady_bytes
from benchmarks.memory.report import Line, table
from benchmarks.memory.sessions import leave_sessions
from benchmarks.memory.streams import held

BY_NAME = {target.name: target for target in TARGETS}


@pytest.fixture(scope="module")
def ours():
    with running(BY_NAME[OURS_SESSION]) as server:
        leave_sessions(server.port, 1)  # it answers
        yield server


def test_sessions_that_a_server_keeps_are_seen():
    with running(BY_NAME[SDK_DEFAULT]) as server:
        found = of_sessions(server, 5, 200)  # many, lest pages that are freed meanwhile hide them
    assert found.count == 400
    assert found.most > 1_000, "a task and two queues for each cost more"


@pytest.mark.parametrize("kind", ["get", "listen"])
def test_open_streams_are_held_and_seen(kind):
    with running(BY_NAME[OURS_SESSION]) as server:  # its own: one gives back what others have held meanwhile
        leave_sessions(server.port, 1)  # it answers
        found = of_streams(server, kind, 5, 400)  # many, lest pages that are freed meanwhile hide them
    assert found.most > 1_000, "no connection costs less"


def hold_while(server, kind, act):
    with held(kind, server.port, 2):
        act()


def test_a_stream_that_cannot_be_opened_is_told():
    with running(BY_NAME[BARE]) as server, pytest.raises(WrongAnswerError, match="were not opened"):
        hold_while(server, "listen", lambda: pytest.fail("there is no stream"))


def test_a_stream_that_is_lost_is_told():
    with running(BY_NAME[OURS_SESSION]) as server:
        leave_sessions(server.port, 1)
        with pytest.raises(WrongAnswerError, match="closed while they were held: '2"):
            hold_while(server, "get", server.stop)


def test_a_session_that_is_not_answered_is_told():
    with running(BY_NAME[BARE]) as server, pytest.raises(WrongAnswerError):
        leave_sessions(server.port, 1)


def test_memory_at_rest_is_that_of_the_process_tree(ours):
    assert steady_bytes(ours.pid) == pytest.approx(machine.memory_bytes(ours.pid), rel=0.1)


def test_the_worse_batch_counts():
    assert Footprint(10.0, 20.0, 2).most == Footprint(20.0, 10.0, 2).most == 20.0


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (Line("a", "why", 1.0, "KB", 1.0), "met"),
        (Line("a", "why", 1.01, "KB", 1.0), "missed"),
        (Line("a", "why", 0.9, "", 0.9, at_least=True), "met"),
        (Line("a", "why", 0.89, "", 0.9, at_least=True), "missed"),
        (Line("a peer", "why", 99.0, "KB", None), ""),
    ],
)
def test_each_line_is_judged_by_its_own_limit(line, verdict):
    assert f"| {verdict} | why |" in table([line])
    assert line.met is (verdict != "missed")


def test_a_share_of_the_sizes_is_never_nothing():
    assert Size.scaled(1.0).crowd == 15_000
    assert Size.scaled(0.0) == Size(1, 1, 1, 1, 1, 1)
