"""A crowd of hostile clients holds what it can get, and good clients are served all the same.

How long they wait is measured by ``make bench-attack``; here they get their answers. Slow because ten
thousand connections are opened, and those that only drip must have had the time to be cut.
"""

from time import monotonic
from urllib.request import urlopen

import pytest
from benchmarks.attack.__main__ import CROWD, FULL_SHARE, HELD_SHARE, OURS
from benchmarks.attack.attacking import attacked
from benchmarks.attack.good import anew, kept
from benchmarks.attack.kinds import FLOODER
from benchmarks.http import machine
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import ROOT, running
from benchmarks.memory.streams import held

CONFIGS = ROOT / "benchmarks/attack"
MOST_LOOKS = 1
"""Of the garbage collector at all objects, while thousands of hostile connections come and go; one if it was
about to look."""

MOST_BYTES = 40 * 1024
"""Of a hostile connection, whatever it does: one that is served costs no more."""

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]


def metric(server, name):
    """The sum of all samples of a metric whose line begins so."""
    with urlopen(f"http://127.0.0.1:{server.more_ports[0]}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    samples = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]
    assert samples, f"{name} is not told, which is no zero"
    return sum(samples)


def within(seconds, condition):
    """Whether something comes true in time; each look is a request, which is pause enough."""
    ends = monotonic() + seconds
    while not condition():
        if monotonic() > ends:
            return False
    return True


def test_good_clients_are_served_while_ten_thousand_hostile_connections_are_held():
    with running(OURS, CONFIGS / "erlmcp.toml") as server:
        kept(server.port, 1.0)
        before = machine.memory_bytes(server.pid)
        with attacked(server, CROWD, round(CROWD * HELD_SHARE)) as attack:
            kept(server.port, 2.0)  # nearly all are there
            looks = metric(server, "erlmcp_full_collections_total")
            good, newcomers = kept(server.port, 12.0), anew(server.port, 100)
            assert within(30, lambda: metric(server, "erlmcp_connections{") > 0.9 * CROWD)
            looks = metric(server, "erlmcp_full_collections_total") - looks
            grown = machine.memory_bytes(server.pid) - before
        assert within(30, lambda: metric(server, "erlmcp_connections{") < 50), "all are given back"
        banned = metric(server, 'erlmcp_rejected_total{generation="g1",reason="ban"}')
        again = kept(server.port, 1.0)
    assert (good.bad, newcomers.bad, again.bad) == (0, 0, 0)
    assert good.calls > 2_000
    assert looks <= MOST_LOOKS, "each look at all objects stops everybody for a tenth of a second"
    assert attack.least_held > 0.9 * CROWD
    assert attack.closed["drips a head"] > 1_000, "they were cut when their time was up, and came again"
    assert banned >= 1, "the address of the flood was shut out"
    assert attack.closed[FLOODER.name] > 100
    assert grown / CROWD < MOST_BYTES


def test_good_clients_get_in_while_a_crowd_has_taken_all_room():
    with running(OURS, CONFIGS / "full.toml") as server, attacked(server, CROWD, round(CROWD * FULL_SHARE)):
        good, newcomers = kept(server.port, 3.0), anew(server.port, 200)
        assert metric(server, 'erlmcp_rejected_total{generation="g1",reason="made-room"}') > 100
    assert (good.bad, newcomers.bad, newcomers.calls) == (0, 0, 200)


def test_where_all_room_is_taken_by_what_is_in_use_nobody_else_gets_in(tmp_path):
    config = tmp_path / "erlmcp.toml"
    config.write_text("[http]\nmax_connections = 20\n")
    with running(OURS, config) as server, held("listen", server.port, 20):
        assert anew(server.port, 5).bad == 5


def test_a_crowd_that_does_not_get_in_is_told():
    with running(OURS, CONFIGS / "erlmcp.toml") as server:
        server.stop()
        with pytest.raises(WrongAnswerError, match="did not get in"), attacked(server, 10, 10, timeout_s=1):
            pytest.fail("there is no server")
