"""The parts that tasks are made of, by themselves: ids, principals, owners, the table."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import msgspec
import pytest

from erlmcp.config.schema import TaskSettings
from erlmcp.protocol.principal import principal_of
from erlmcp.protocol.tasks import COMPLETED, FAILED, WORKING, Task, is_declared
from erlmcp.sessions.bus import NEWCOMER, TASKS_CHANGED, BusEvent, LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.sessions.tasks.ids import TaskFacts, TaskIds, UnknownTaskError, new_name
from erlmcp.sessions.tasks.owners import Owner, Owners, has_died, this_process
from erlmcp.sessions.tasks.table import TaskTable

OLD, NEW = KeyRing.generate(), KeyRing.generate()


@pytest.fixture
def anyio_backend():
    return ("asyncio", {"use_uvloop": True})


def _facts(owner: Owner | None = None) -> TaskFacts:
    return TaskFacts(new_name(), owner or this_process(), 1_000, 60_000, 500)


def _task(name: str = "one", status: str = WORKING, created_ms: int = 1_000) -> Task:
    return Task(name, f"id of {name}", status, created_ms, created_ms, 60_000, 500)


# -- ids --


def test_an_id_opens_for_its_principal_alone():
    ids, facts = TaskIds(KeyRing([OLD])), _facts()
    text = ids.seal(facts, "ada")
    assert ids.unseal(text, "ada") == facts
    for other in ("", "eve", "ada "):
        with pytest.raises(UnknownTaskError):
            ids.unseal(text, other)


def test_an_id_outlives_the_rotation_of_its_key_and_not_its_removal():
    facts = _facts()
    text = TaskIds(KeyRing([OLD])).seal(facts, "")
    assert TaskIds(KeyRing([NEW, OLD])).unseal(text, "") == facts
    with pytest.raises(UnknownTaskError):
        TaskIds(KeyRing([NEW])).unseal(text, "")


def test_two_ids_of_the_same_facts_differ_and_each_fits_into_a_header():
    ids, facts = TaskIds(KeyRing([OLD])), _facts()
    first, second = ids.seal(facts, ""), ids.seal(facts, "")
    assert first != second
    assert first.isascii()
    assert len(first) < 256


# -- principals --


def _jwt(**claims: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"Bearer head.{body}.signature-{os.urandom(4).hex()}"


def test_a_renewed_token_is_the_same_principal_and_another_subject_is_not():
    first, renewed = _jwt(iss="i", sub="ada", exp="1"), _jwt(iss="i", sub="ada", exp="2")
    assert principal_of({"authorization": first}) == principal_of({"authorization": renewed})
    others = (_jwt(iss="i", sub="eve"), _jwt(iss="j", sub="ada"), _jwt(iss="i", sub="ada", client_id="c"))
    found = {principal_of({"authorization": each}) for each in (first, *others)}
    assert len(found) == 4


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", "a.!!!.c", "a..c", pytest.param(_jwt(sub="ada")[7:], id="no-issuer"), "Basic eA=="],
)
def test_any_other_credential_is_its_own_principal_and_is_not_kept_in_the_clear(token):
    found = principal_of({"authorization": f"Bearer {token}"})
    assert found != principal_of({"authorization": f"Bearer {token}x"})
    assert found != principal_of({})
    assert token not in found


def test_without_a_credential_there_is_no_principal():
    assert principal_of(None) == principal_of({}) == ""


@pytest.mark.parametrize("capabilities", [None, [], {}, {"extensions": None}, {"extensions": {"x/y": {}}}])
def test_an_extension_that_is_not_named_is_not_declared(capabilities):
    assert not is_declared(capabilities)
    assert is_declared({"extensions": {"io.modelcontextprotocol/tasks": {}}})


# -- owners --


def test_a_process_that_lives_has_not_died_and_one_of_the_same_number_is_another():
    me = this_process()
    assert not has_died(me)
    assert has_died(Owner(me.place, me.pid, me.started + 1))


def test_nothing_is_known_of_another_machine():
    assert not has_died(Owner("elsewhere", 2**22 + 1, 1))


def _living() -> tuple[subprocess.Popen[bytes], Owner]:
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    with open(f"/proc/{child.pid}/stat", "rb") as stat:  # noqa: PTH123 - as the code under test does not
        started = int(stat.read().rsplit(b")", 1)[1].split()[19])
    return child, Owner(this_process().place, child.pid, started)


@pytest.mark.anyio
async def test_a_death_is_told_once_also_of_one_that_is_dead_already(until):
    told: list[Owner] = []
    owners = Owners(told.append)
    child, owner = _living()
    owners.watch(owner)
    owners.watch(owner)
    assert told == []
    child.kill()
    child.communicate()
    await until(lambda: told == [owner])
    assert has_died(owner)
    owners.watch(owner)
    assert told == [owner, owner]
    owners.close()


# -- the table --


@pytest.fixture
def table():
    """A table at second 1, and its bus."""
    made = []

    def make(**settings: int) -> tuple[TaskTable, LocalBus]:
        bus = LocalBus()
        made.append(TaskTable(bus, TaskSettings(**settings), lambda: 1.0))
        return made[-1], bus

    yield make
    for each in made:
        each.close()


def _say(bus: LocalBus, owner: Owner, *tasks: Task) -> None:
    bus.publish(BusEvent(TASKS_CHANGED, data=msgspec.msgpack.encode([[owner, task] for task in tasks])))


@pytest.mark.anyio
async def test_an_ended_task_never_changes(table):
    mine, bus = table()
    done = mine.put(_task().moved(COMPLETED, 2_000, detail={"content": []}))
    assert mine.put(_task().moved(FAILED, 3_000, detail={})) is done
    elsewhere = Owner("elsewhere", 7, 7)
    _say(bus, elsewhere, _task("far").moved(COMPLETED, 2_000, detail={}))
    _say(bus, elsewhere, _task("far"))
    assert mine.copy("far").status == COMPLETED
    assert mine.lose(elsewhere, _task("far")).status == COMPLETED


@pytest.mark.anyio
async def test_a_newcomer_is_told_of_our_tasks_and_of_those_of_the_dead_and_of_no_others(table):
    mine, bus = table()
    child, dead = _living()
    child.kill()
    child.communicate()
    mine.put(_task("mine"))
    _say(bus, dead, _task("dead").moved(COMPLETED, 2_000, detail={}))
    _say(bus, Owner("elsewhere", 7, 7), _task("alive"))
    other, other_bus = table()
    bus.subscribe(lambda event: other_bus.publish(event) if event.kind == TASKS_CHANGED else None)
    bus.publish(BusEvent(NEWCOMER))
    assert other.copy("dead").status == COMPLETED
    assert other.copy("alive") is None


@pytest.mark.anyio
async def test_copies_are_bounded_in_number_and_bytes_and_the_oldest_go(table):
    elsewhere = Owner("elsewhere", 7, 7)
    mine, bus = table(max_kept=2)
    for name in ("a", "b", "c"):
        _say(bus, elsewhere, _task(name))
    assert [mine.copy(name) is not None for name in ("a", "b", "c")] == [False, True, True]
    mine, bus = table(max_total_bytes=1_024)
    for name in ("a", "b", "c"):
        _say(bus, elsewhere, _task(name).moved(COMPLETED, 2_000, detail="x" * 510))
    assert [mine.copy(name) is not None for name in ("a", "b", "c")] == [False, True, True]


@pytest.mark.anyio
async def test_a_copy_that_has_expired_is_not_known(table):
    mine, bus = table()
    _say(bus, Owner("elsewhere", 7, 7), _task("old", created_ms=-60_000), _task("new", created_ms=-58_999))
    assert mine.copy("old") is None
    assert mine.copy("new") is not None


@pytest.mark.anyio
async def test_what_an_owner_said_before_it_died_comes_before_its_death(table, until):
    mine, bus = table()
    child, owner = _living()
    _say(bus, owner, _task("quick"), _task("lost"))
    child.kill()
    child.communicate()
    _say(bus, owner, _task("quick").moved(COMPLETED, 2_000, detail={}))
    await until(lambda: mine.copy("lost").status == FAILED)
    assert mine.copy("quick").status == COMPLETED
