"""The notebook on a real PostgreSQL 15: skipped where it is not installed, which in CI is a failure."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from notes.model import NoteNotFoundError
from notes.store import NoteStore

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


def _missing() -> str:
    if not (PROGRAMS / "initdb").exists():
        return f"no PostgreSQL 15 in {PROGRAMS}: apt-get install postgresql"
    if os.geteuid() == 0 and not any(entry.pw_name == "postgres" for entry in pwd.getpwall()):
        return "PostgreSQL does not run as root and there is no user postgres"
    return ""


def _run(*line: str) -> None:
    # PostgreSQL refuses to run as root, so root starts it as the user that its package made.
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(line, user=user, cwd="/", check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def database():
    if reason := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="notes-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    data = str(folder / "data")
    _run(str(PROGRAMS / "initdb"), "-D", data, "-U", "notes", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    try:
        yield f"postgresql://notes@/postgres?host={folder}"
    finally:
        _run(str(PROGRAMS / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture
def store(database, clock):
    opened = NoteStore.open(database, clock=clock)
    yield opened
    for note in opened.latest(1_000):
        opened.delete(note.id)
    opened.close()


def test_a_note_is_created_changed_found_and_deleted(store):
    made = store.create("Deployment plan", "Roll back fast", ["work", "ops"])
    after = store.append(made.id, "and say so")
    assert (after.revision, after.body, after.tags) == (2, "Roll back fast\nand say so", ["ops", "work"])
    assert [note.id for note in store.search("deploy SAY", tag="ops", limit=5)] == [made.id]
    assert store.search("deploy", tag="other", limit=5) == []
    assert [(count.tag, count.notes) for count in store.tags()] == [("ops", 1), ("work", 1)]
    assert [note.id for note in store.with_tag("ops", 5)] == [made.id]
    store.delete(made.id)
    with pytest.raises(NoteNotFoundError):
        store.get(made.id)


@pytest.mark.parametrize("query", ["a:* | !b", "'; drop table notes; --", "a & b"])
def test_the_search_syntax_of_the_database_is_only_words(store, query):
    store.create("a b drop table notes", "", [])
    assert len(store.search(query, tag=None, limit=5)) == 1


def test_reindexing_mends_a_broken_index(store):
    store.create("note", "word", [])
    with store._engine.begin() as db:
        db.exec_driver_sql("UPDATE notes SET words = NULL")
    assert store.search("word", tag=None, limit=5) == []
    assert list(store.reindex(10)) == [1]
    assert len(store.search("word", tag=None, limit=5)) == 1


def test_changes_made_at_once_are_all_kept(store, database, clock):
    note = store.create("shared", "", [])
    others = [NoteStore.open(database, clock=clock) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for other in others:
            pool.submit(lambda other=other: [other.append(note.id, "x") for _ in range(20)])
    for other in others:
        other.close()
    assert store.get(note.id).revision == 61
    assert store.get(note.id).body.count("x") == 60
