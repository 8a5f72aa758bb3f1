"""Whatever is changed behind the journal's back is found. Each test first sees an intact journal verify."""

from __future__ import annotations

import random
import shutil
import sqlite3

import pytest

from gonogo.journal.canonical import link_hash
from gonogo.journal.head import FILE_NAME, Head, advance_head
from gonogo.journal.journal import DATABASE_NAME, Journal
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of

COLUMNS = ("seq", "kind", "at", "actor", "release", "body", "prev", "hash")


@pytest.fixture
def closed(journal, folder):
    """A closed journal of six entries that verifies."""
    for number in range(5):
        journal.append(
            EntryKind.DECISION,
            {"number": number, "ratio": 0.5, "reason": "looks göod"},
            actor="ada",
            release="rel-notes-1.1.0",
        )
    assert journal.verify() == []
    journal.close()
    _execute(folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


def _execute(folder, statement, *values):
    database = sqlite3.connect(folder / DATABASE_NAME)
    rows = database.execute(statement, values).fetchall()
    database.commit()
    database.close()
    return rows


def _faults(folder, clock):
    with Journal.open(folder, clock=clock, service="notes", create=False) as journal:
        return journal.verify()


def test_every_byte_of_every_stored_text_is_covered(closed, clock):
    for column in COLUMNS[1:]:
        (stored,) = _execute(closed, f"SELECT {column} FROM entries WHERE seq = 3")[0]
        as_bytes = stored.encode()
        for place in range(len(as_bytes)):
            flipped = bytearray(as_bytes)
            flipped[place] ^= 0x01
            _execute(closed, f"UPDATE entries SET {column} = CAST(? AS TEXT) WHERE seq = 3", bytes(flipped))
            assert _faults(closed, clock), f"byte {place} of {column} was flipped and not found"
        _execute(closed, f"UPDATE entries SET {column} = ? WHERE seq = 3", stored)
    assert _faults(closed, clock) == []


def test_a_text_turned_into_a_blob_is_found(closed, clock):
    for column in COLUMNS[1:]:
        (stored,) = _execute(closed, f"SELECT {column} FROM entries WHERE seq = 3")[0]
        _execute(closed, f"UPDATE entries SET {column} = CAST(? AS BLOB) WHERE seq = 3", stored)
        faults = _faults(closed, clock)
        assert any("another type" in fault.what for fault in faults), column
        _execute(closed, f"UPDATE entries SET {column} = ? WHERE seq = 3", stored)


def test_a_changed_sequence_number_is_found(closed, clock):
    _execute(closed, "UPDATE entries SET seq = 99 WHERE seq = 3")
    assert {fault.what for fault in _faults(closed, clock)} >= {"sequence broken"}


@pytest.mark.parametrize("seq", [1, 2, 4, 6])
def test_a_deleted_row_is_found(closed, clock, seq):
    _execute(closed, "DELETE FROM entries WHERE seq = ?", seq)
    assert _faults(closed, clock)


def test_an_inserted_row_is_found(closed, clock):
    _execute(closed, "UPDATE entries SET seq = seq + 100 WHERE seq > 3")
    _execute(closed, "UPDATE entries SET seq = seq - 99 WHERE seq > 100")
    row = _execute(closed, "SELECT kind, at, actor, release, body, prev FROM entries WHERE seq = 3")[0]
    _execute(closed, "INSERT INTO entries VALUES (4, ?, ?, ?, ?, ?, ?, ?)", *row, "f" * 64)
    assert {fault.seq for fault in _faults(closed, clock)} >= {4, 5}


def test_swapped_rows_are_found(closed, clock):
    for old, new in ((3, 1003), (4, 1004), (1003, 4), (1004, 3)):
        _execute(closed, "UPDATE entries SET seq = ? WHERE seq = ?", new, old)
    assert {fault.seq for fault in _faults(closed, clock)} >= {3, 4}


def test_a_cut_off_tail_is_found_by_the_head_file_and_nothing_is_built_on_it(closed, clock):
    _execute(closed, "DELETE FROM entries WHERE seq > 4")
    (fault,) = _faults(closed, clock)
    assert (fault.what, fault.expected, fault.got) == ("tail cut off", "entries up to 6", "up to 4")
    with Journal.open(closed, clock=clock, service="notes") as journal:
        with pytest.raises(GonogoError) as refused:
            journal.append(EntryKind.DECISION, {}, actor="a", release="r")
        assert refused.value.error_id == "journal.altered"


def test_a_chain_computed_anew_is_found_by_the_head_file(closed, clock, tmp_path):
    forged = tmp_path / "forged"
    with Journal.open(forged, clock=clock, service="notes") as journal:
        for number in range(5):
            journal.append(EntryKind.DECISION, {"number": -number}, actor="ada", release="rel-notes-1.1.0")
        assert journal.verify() == []
    _execute(forged, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(forged / DATABASE_NAME, closed / DATABASE_NAME)
    assert [fault.what for fault in _faults(closed, clock)] == ["entry is not the one the head file names"]


def test_every_byte_of_the_head_file_is_covered(closed, clock):
    path = closed / FILE_NAME
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x01
        path.write_bytes(flipped)
        assert _faults(closed, clock), f"byte {place} of the head file was flipped and not found"
    path.unlink()
    assert [fault.what for fault in _faults(closed, clock)] == ["head file missing"]


def test_reading_stops_at_an_altered_entry(closed, clock):
    _execute(closed, "UPDATE entries SET actor = 'eve' WHERE seq = 4")
    with Journal.open(closed, clock=clock, service="notes") as journal:
        reading = journal.entries()
        assert [next(reading).seq for _ in range(3)] == [1, 2, 3]
        with pytest.raises(GonogoError) as stopped:
            next(reading)
    assert stopped.value.error_id == "journal.altered"
    assert "entry 4" in stopped.value.message


def test_an_entry_of_an_unknown_kind_says_so(closed, clock):
    _execute(closed, "UPDATE entries SET kind = 'new.kind' WHERE seq = 4")
    with Journal.open(closed, clock=clock, service="notes") as journal:
        with pytest.raises(GonogoError) as stopped:
            list(journal.entries())
        assert stopped.value.error_id == "journal.newer-format"
        assert journal.verify(), "but the hash shows that nobody newer wrote it"


def test_a_body_with_a_repeated_key_is_found(closed, clock):
    (body,) = _execute(closed, "SELECT body FROM entries WHERE seq = 3")[0]
    _execute(closed, "UPDATE entries SET body = ? WHERE seq = 3", '{"number":9,' + body[1:])
    assert {fault.seq for fault in _faults(closed, clock)} == {3}


def test_a_body_in_another_form_is_found_even_with_hash_and_head_made_to_fit(closed, clock):
    columns = ("seq", "kind", "at", "actor", "release", "body", "prev")
    stored = _execute(closed, f"SELECT {', '.join(columns)} FROM entries WHERE seq = 6")[0]
    row = dict(zip(columns, stored, strict=True))
    loose = row.pop("body").replace(",", ", ")
    forged = link_hash(**row, body_digest=digest_of(loose.encode()))
    _execute(closed, "UPDATE entries SET body = ?, hash = ? WHERE seq = 6", loose, forged)
    (closed / FILE_NAME).unlink()
    advance_head(closed, Head(6, forged))
    assert [fault.what for fault in _faults(closed, clock)] == ["body not in its canonical form"]


def _content(folder, clock):
    with Journal.open(folder, clock=clock, service="notes", create=False) as journal:
        return list(journal.entries())


def test_a_flipped_byte_of_the_database_file_is_found_or_changes_nothing(closed, clock, tmp_path):
    """Free space and unused header bytes carry nothing; everywhere else a flip must not go unseen."""
    intact = _content(closed, clock)
    _execute(closed, "PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (closed / DATABASE_NAME).read_bytes()
    text_at = [i for i in range(len(whole)) if whole.startswith(b'{"number"', i)]
    assert text_at, "the bodies stand in the file as text"
    chosen = random.Random(2026)
    inside_bodies = [start + offset for start in text_at for offset in range(0, 40, 7)]
    places = inside_bodies + chosen.sample(range(len(whole)), 250)
    found = 0
    for place in places:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        shutil.copy(closed / FILE_NAME, copy / FILE_NAME)
        flipped = bytearray(whole)
        flipped[place] ^= 0x20
        (copy / DATABASE_NAME).write_bytes(flipped)
        try:
            seen = bool(_faults(copy, clock))
        except GonogoError as error:
            seen = error.error_id in ("journal.altered", "journal.newer-format")
        found += seen
        assert seen or _content(copy, clock) == intact, f"byte {place} was flipped and not found"
    assert found >= len(inside_bodies), "the search itself finds something"
