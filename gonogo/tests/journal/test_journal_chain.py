"""What appending and reading promise."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.journal.canonical import BODY_LIMIT_BYTES, GENESIS, canonical_json, hash_of
from gonogo.journal.journal import DATABASE_NAME, Journal
from gonogo.model.clock import time_from, time_text
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError


def test_a_new_journal_begins_with_an_opened_entry(journal):
    first = journal.head()
    assert (first.seq, first.kind, first.prev) == (1, EntryKind.OPENED, GENESIS)
    assert first.body["service"] == "notes"


def test_opening_again_adds_nothing(journal, folder, clock):
    with Journal.open(folder, clock=clock, service="notes") as again:
        assert [entry.seq for entry in again.entries()] == [1]


def test_entries_are_numbered_without_a_gap_and_each_names_the_one_before(journal):
    for number in range(5):
        journal.append(EntryKind.DECISION, {"number": number}, actor="ada", release="rel-notes-1.1.0")
    entries = list(journal.entries())
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert [entry.prev for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]
    assert journal.verify() == []


def test_what_is_read_is_what_was_appended(journal, folder, clock):
    body = {"text": "Grüße  ☃ \x00", "list": [1, 2.5, None, True], "nested": {"b": {}, "a": []}}
    written = journal.append(EntryKind.DECISION, body, actor="ada", release="rel-a")
    with Journal.open(folder, clock=clock, service="notes") as other:
        assert other.head() == written
        assert other.head().body == body


def test_entries_can_be_read_by_release_kind_and_position(journal):
    for release in ("rel-a", "rel-b"):
        for kind in (EntryKind.DECISION, EntryKind.FINDING):
            journal.append(kind, {}, actor="gonogo", release=release)
    assert [entry.seq for entry in journal.entries(release="rel-b")] == [4, 5]
    assert [entry.seq for entry in journal.entries(kinds={EntryKind.FINDING})] == [3, 5]
    assert [entry.seq for entry in journal.entries(after_seq=3)] == [4, 5]
    assert list(journal.entries(kinds=())) == []


def test_reading_goes_on_over_page_limits(journal, monkeypatch):
    monkeypatch.setattr("gonogo.journal.journal._PAGE_ROWS", 3)
    for number in range(7):
        journal.append(EntryKind.DECISION, {"number": number}, actor="ada", release="rel-a")
    assert [entry.seq for entry in journal.entries()] == list(range(1, 9))


def test_times_are_written_in_utc_with_microseconds(folder):
    east = datetime(2026, 11, 23, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    with Journal.open(folder, clock=lambda: east, service="notes") as journal:
        assert journal.head().at == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    stored = sqlite3.connect(folder / DATABASE_NAME).execute("SELECT at FROM entries").fetchone()
    assert stored == ("2026-11-23T12:00:00.000000Z",)


def test_a_clock_without_a_zone_is_refused(folder):
    with pytest.raises(ValueError, match="needs its zone"):
        Journal.open(folder, clock=lambda: datetime(2026, 11, 23), service="notes")  # noqa: DTZ001 - the point


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001 - hypothesis wants it
def test_every_time_survives_its_text(at):
    assert time_from(time_text(at)) == at


def test_a_body_of_exactly_the_limit_is_kept_and_one_byte_more_is_refused(journal):
    frame = len(canonical_json({"text": ""}))
    journal.append(EntryKind.DECISION, {"text": "x" * (BODY_LIMIT_BYTES - frame)}, actor="a", release="r")
    with pytest.raises(GonogoError) as refused:
        journal.append(
            EntryKind.DECISION, {"text": "x" * (BODY_LIMIT_BYTES - frame + 1)}, actor="a", release="r"
        )
    assert refused.value.error_id == "journal.body-too-large"
    assert "evidence" in refused.value.hint
    assert journal.head().seq == 2


@pytest.mark.parametrize(
    "body",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": {1}}, {"a": "\ud800"}, {"a": {1: 2}}, {"a": b"x"}],
    ids=["nan", "infinity", "set", "lone surrogate", "key that is no text", "bytes"],
)
def test_a_body_without_an_exact_json_form_is_refused_and_nothing_is_written(journal, body):
    with pytest.raises(GonogoError) as refused:
        journal.append(EntryKind.DECISION, body, actor="a", release="r")
    assert refused.value.error_id == "journal.bad-body"
    assert journal.head().seq == 1


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abé\u2028"), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_json)
def test_canonical_json_read_back_gives_the_same_text(value):
    import json

    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


def test_the_hash_covers_every_field(journal):
    from dataclasses import replace

    entry = journal.append(EntryKind.DECISION, {"a": 1}, actor="ada", release="rel-a")
    assert hash_of(entry) == entry.hash
    others = (
        replace(entry, seq=9),
        replace(entry, kind=EntryKind.FINDING),
        replace(entry, at=entry.at + timedelta(microseconds=1)),
        replace(entry, actor="bob"),
        replace(entry, release="rel-b"),
        replace(entry, body={"a": 2}),
        replace(entry, prev="1" * 64),
    )
    assert entry.hash not in {hash_of(other) for other in others}


def test_a_missing_journal_is_named_when_it_must_not_be_made(tmp_path, clock):
    with pytest.raises(GonogoError) as refused:
        Journal.open(tmp_path / "nowhere", clock=clock, service="notes", create=False)
    assert refused.value.error_id == "journal.not-found"
    assert not (tmp_path / "nowhere").exists()


def test_a_journal_of_a_newer_format_is_left_alone(journal, folder, clock):
    journal.close()
    database = sqlite3.connect(folder / DATABASE_NAME)
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with pytest.raises(GonogoError) as refused:
        Journal.open(folder, clock=clock, service="notes")
    assert refused.value.error_id == "journal.newer-format"


def test_a_held_write_lock_is_reported_as_busy_within_the_time_out(folder, clock):
    with Journal.open(folder, clock=clock, service="notes", busy_timeout_s=0.05) as journal:
        holder = sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(GonogoError) as refused:
            journal.append(EntryKind.DECISION, {}, actor="a", release="r")
        assert refused.value.error_id == "journal.busy"
        assert [entry.seq for entry in journal.entries()] == [1], "readers go on while a writer holds it"
        holder.execute("ROLLBACK")
        holder.close()
        journal.append(EntryKind.DECISION, {}, actor="a", release="r")


def test_a_database_that_is_none_is_reported_as_altered(folder, clock):
    folder.mkdir()
    (folder / DATABASE_NAME).write_bytes(b"this is no database at all" * 100)
    with pytest.raises(GonogoError) as refused:
        Journal.open(folder, clock=clock, service="notes")
    assert refused.value.error_id == "journal.altered"


def test_the_folder_is_for_its_owner_only(journal, folder):
    assert folder.stat().st_mode & 0o777 == 0o700


def test_threads_of_one_process_make_one_chain(journal):
    def append_some(name: str) -> None:
        for number in range(10):
            journal.append(EntryKind.DECISION, {"number": number}, actor=name, release="rel-a")

    threads = [threading.Thread(target=append_some, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert journal.head().seq == 41
    assert journal.verify() == []


_APPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind
clock = lambda: datetime(2026, 11, 23, tzinfo=UTC)
with Journal.open(Path(sys.argv[1]), clock=clock, service="notes") as journal:
    for number in range(25):
        journal.append(EntryKind.DECISION, {"number": number}, actor=sys.argv[2], release="rel-a")
"""


def test_processes_that_start_at_once_make_one_gapless_chain(folder, clock):
    running = [
        subprocess.Popen([sys.executable, "-c", _APPENDER, str(folder), f"p{n}"], stderr=subprocess.PIPE)
        for n in range(4)
    ]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    with Journal.open(folder, clock=clock, service="notes", create=False) as journal:
        entries = list(journal.entries())
        assert [entry.seq for entry in entries] == list(range(1, 102))
        for name in ("p0", "p1", "p2", "p3"):
            own = [entry.body["number"] for entry in entries if entry.actor == name]
            assert own == list(range(25)), "each process' own entries stand in its own order"
        assert journal.verify() == []
