"""The notebook: create, append, search, delete. Safe with several processes on one database.

Synchronous on purpose; the server calls it from a thread. Every public method is one transaction.
The database's own ways are in ``notes.schema``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from notes.model import (
    BODY_CHARS_MAX,
    NOTES_MAX,
    QUERY_WORDS_MAX,
    Note,
    NoteError,
    NoteHead,
    NoteNotFoundError,
    NoteTooLargeError,
    TagCount,
)
from notes.schema import NOTE_TAGS, NOTES, Words, open_database, writing
from notes.text import words_of

Clock = Callable[[], datetime]


class NoteStore:
    """Notes in one database.

    Every method that takes an id raises NoteNotFoundError if there is no such note.
    """

    def __init__(self, engine: Engine, words: Words, *, clock: Clock, notes_max: int = NOTES_MAX) -> None:
        self._engine = engine
        self._words = words
        self._clock = clock
        self._notes_max = notes_max

    @classmethod
    def open(cls, database: str, *, clock: Clock, notes_max: int = NOTES_MAX) -> NoteStore:
        """Open ``database``: the path of a SQLite file, or a postgresql:// URL."""
        return cls(*open_database(database), clock=clock, notes_max=notes_max)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def create(self, title: str, body: str, tags: Sequence[str]) -> Note:
        """Store a new note.

        Raises:
            NoteTooLargeError: the notebook is full.
        """
        now = self._now()
        with writing(self._engine) as db:
            if self._number(db) >= self._notes_max:
                raise NoteTooLargeError(
                    f"the notebook holds {self._notes_max} notes, which is the limit; delete one"
                )
            row = {
                "id": f"n-{secrets.token_hex(8)}",
                "title": title,
                "body": body,
                "revision": 1,
                "created_at": now,
                "updated_at": now,
            }
            seq = db.execute(insert(NOTES).values(row).returning(NOTES.c.seq)).scalar_one()
            for tag in sorted(set(tags)):
                db.execute(insert(NOTE_TAGS).values(seq=seq, tag=tag))
            self._words.write(db, seq, title, body)
            return Note(**row, tags=sorted(set(tags)))

    def append(self, note_id: str, added: str) -> Note:
        """Add a paragraph to the end of a note.

        Raises:
            NoteTooLargeError: it would grow beyond BODY_CHARS_MAX.
        """
        with writing(self._engine) as db:
            row = self._row(db, note_id, lock=True)
            body = f"{row.body}\n{added}" if row.body else added
            if len(body) > BODY_CHARS_MAX:
                raise NoteTooLargeError(
                    f"{note_id} would have {len(body)} characters; the limit is {BODY_CHARS_MAX}; "
                    "create another note"
                )
            changed = {"body": body, "revision": row.revision + 1, "updated_at": self._now()}
            db.execute(update(NOTES).where(NOTES.c.seq == row.seq).values(changed))
            self._words.write(db, row.seq, row.title, body)
            return self._notes(db, [self._row(db, note_id)])[0]

    def delete(self, note_id: str) -> NoteHead:
        """Remove a note and say what it was."""
        with writing(self._engine) as db:
            row = self._row(db, note_id, lock=True)
            gone = _head(self._notes(db, [row])[0])
            self._words.erase(db, row.seq)
            db.execute(delete(NOTE_TAGS).where(NOTE_TAGS.c.seq == row.seq))
            db.execute(delete(NOTES).where(NOTES.c.seq == row.seq))
            return gone

    def get(self, note_id: str) -> Note:
        """One note."""
        with self._engine.begin() as db:
            return self._notes(db, [self._row(db, note_id)])[0]

    def search(self, query: str, *, tag: str | None, limit: int) -> list[Note]:
        """Notes that have a word beginning with each word of ``query``, best first.

        Raises:
            NoteError: the query has no word in it, or too many.
        """
        words = words_of(query)
        if not 1 <= len(words) <= QUERY_WORDS_MAX:
            raise NoteError(
                f"a query has 1 to {QUERY_WORDS_MAX} words of letters or digits, got {len(words)}"
            )
        with self._engine.begin() as db:
            # With a tag the index cannot cut the list short, as the first hits may all lack the tag.
            found = self._words.find(db, words, limit if tag is None else self._notes_max)
            if tag is not None:
                tagged = set(db.execute(select(NOTE_TAGS.c.seq).where(NOTE_TAGS.c.tag == tag)).scalars())
                found = [seq for seq in found if seq in tagged]
            rows = {row.seq: row for row in db.execute(select(NOTES).where(NOTES.c.seq.in_(found[:limit])))}
            return self._notes(db, [rows[seq] for seq in found[:limit]])

    def latest(self, limit: int) -> list[NoteHead]:
        """The notes that changed last."""
        with self._engine.begin() as db:
            rows = db.execute(
                select(NOTES).order_by(NOTES.c.updated_at.desc(), NOTES.c.seq.desc()).limit(limit)
            )
            return [_head(note) for note in self._notes(db, rows.all())]

    def with_tag(self, tag: str, limit: int) -> list[Note]:
        """The notes of a tag, newest change first."""
        query = (
            select(NOTES)
            .join(NOTE_TAGS, NOTE_TAGS.c.seq == NOTES.c.seq)
            .where(NOTE_TAGS.c.tag == tag)
            .order_by(NOTES.c.updated_at.desc(), NOTES.c.seq.desc())
            .limit(limit)
        )
        with self._engine.begin() as db:
            return self._notes(db, db.execute(query).all())

    def tags(self) -> list[TagCount]:
        """All tags with the number of their notes, in alphabetical order."""
        query = select(NOTE_TAGS.c.tag, func.count()).group_by(NOTE_TAGS.c.tag).order_by(NOTE_TAGS.c.tag)
        with self._engine.begin() as db:
            return [TagCount(tag=tag, notes=notes) for tag, notes in db.execute(query)]

    def count(self) -> int:
        """How many notes there are."""
        with self._engine.begin() as db:
            return self._number(db)

    def reindex(self, batch: int) -> Iterator[int]:
        """Rebuild the full-text index, one transaction a batch; gives the number of notes done so far."""
        last = done = 0
        while True:
            with writing(self._engine) as db:
                query = select(NOTES).where(NOTES.c.seq > last).order_by(NOTES.c.seq).limit(batch)
                rows = db.execute(query).all()
                for row in rows:
                    self._words.write(db, row.seq, row.title, row.body)
            if not rows:
                return
            last = rows[-1].seq
            done += len(rows)
            yield done

    def _row(self, db: Connection, note_id: str, *, lock: bool = False) -> Row[Any]:
        query = select(NOTES).where(NOTES.c.id == note_id)
        row = db.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise NoteNotFoundError(f"there is no note {note_id}; search_notes and notes://index give ids")
        return row

    def _notes(self, db: Connection, rows: Sequence[Row[Any]]) -> list[Note]:
        """Rows as notes, in their order, with one more query for the tags of all."""
        tags: dict[int, list[str]] = {row.seq: [] for row in rows}
        query = select(NOTE_TAGS).where(NOTE_TAGS.c.seq.in_(list(tags))).order_by(NOTE_TAGS.c.tag)
        for seq, tag in db.execute(query):
            tags[seq].append(tag)
        return [Note.model_validate({**row._mapping, "tags": tags[row.seq]}) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented name

    @staticmethod
    def _number(db: Connection) -> int:
        return db.execute(select(func.count()).select_from(NOTES)).scalar_one()

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="microseconds")


def _head(note: Note) -> NoteHead:
    return NoteHead.model_validate(note.model_dump(include=set(NoteHead.model_fields)))
