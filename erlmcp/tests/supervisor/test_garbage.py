"""All objects of a worker are looked at for garbage when its heap has grown, and not because much is held.

Each test runs a process of its own: what is decided is how the whole interpreter behaves.
"""

import json
import subprocess
import sys

from erlmcp.supervisor.garbage import LEAST_BLOCKS

PRELUDE = """
import asyncio, gc, json, sys
from erlmcp.supervisor.garbage import Collections

class Held:
    def __init__(self):
        self.things = [[] for _ in range(10)]

class Cycle:
    def __init__(self):
        self.me = self

LOOP = asyncio.new_event_loop()

def begin():
    return Collections(LOOP)

def looks():
    return gc.get_stats()[2]["collections"]

def churn(kind, held=4_000, rounds=200):
    '''Let half of what is held go and make as much again; the most blocks of memory at any time.'''
    kept, most = [], 0
    for _ in range(rounds):
        del kept[: held // 2]
        for _ in range(held - len(kept)):
            kept.append(kind())
        most = max(most, sys.getallocatedblocks())
    return most
"""


def outcome_of(script):
    command = [sys.executable, "-c", PRELUDE + script]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert not ran.returncode, ran.stderr
    return json.loads(ran.stdout)


def test_what_is_held_and_let_go_is_not_looked_at_again_and_again():
    usual = outcome_of("before = looks(); churn(Held); print(looks() - before)")
    ours = outcome_of("begin(); before = looks(); churn(Held); print(looks() - before)")
    assert usual > 20, "else this shows nothing"
    assert ours <= 3, "once or twice while the heap grew to what is held"


def test_garbage_that_only_a_look_at_all_objects_finds_stays_bounded():
    never, ours = (
        outcome_of(f"{how}; before = sys.getallocatedblocks(); print(churn(Cycle) - before)")
        for how in ("gc.set_threshold(700, 10, 10**9)", "begin()")
    )
    assert never > 200_000, "else this shows nothing"
    assert ours < 3 * LEAST_BLOCKS


def test_what_comes_as_fast_as_other_things_go_is_not_looked_at_all_at_once():
    """CPython counts what was made less what was let go: it waits until everything that is held is young."""
    script = """
async def turn_over(seconds):
    ends, kept = LOOP.time() + seconds, [Held() for _ in range(4_000)]
    gc.collect()
    while LOOP.time() < ends:
        del kept[:20]
        kept.extend(Held() for _ in range(20))
        await asyncio.sleep(0.005)
    print(len(gc.get_objects(0)) + len(gc.get_objects(1)))
"""
    usual, ours = (
        outcome_of(f"{script}{begins}LOOP.run_until_complete(turn_over(1.5))") for begins in ("", "begin()\n")
    )
    assert usual > 20_000, "else this shows nothing"
    assert ours < usual / 2


def test_it_is_counted_and_timed():
    count, seconds = outcome_of(
        "c = begin(); gc.collect(); gc.collect(0); gc.collect()\n"
        "print(json.dumps(c.snapshot()['full_collections']))"
    )
    assert count == 2
    assert 0 < seconds < 10


def test_a_guest_that_has_set_thresholds_keeps_them():
    thresholds, (count, _) = outcome_of(
        "gc.set_threshold(500, 5, 7); c = begin(); churn(Held)\n"
        "print(json.dumps([gc.get_threshold(), c.snapshot()['full_collections']]))"
    )
    assert thresholds == [500, 5, 7]
    assert count > 20


def test_what_the_guest_consists_of_is_never_looked_at_again():
    print_both = "print(json.dumps([len(gc.get_objects()), gc.get_freeze_count()]))"
    looked_at, frozen = outcome_of(f"loaded = [[] for _ in range(50_000)]; begin(); {print_both}")
    assert frozen > 50_000
    assert looked_at < 1_000
