"""Tables and full-text index of the notebook, for SQLite and for PostgreSQL.

Knows how each of the two databases keeps and searches words, and nothing about what is stored why.
``notes.store`` is the only caller.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    text,
)

METADATA = MetaData()
NOTES = Table(
    "notes",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(18), nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False, index=True),
)
NOTE_TAGS = Table(
    "note_tags",
    METADATA,
    Column("seq", ForeignKey("notes.seq", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(40), primary_key=True, index=True),
)
_SCHEMA_LOCK = 0x6E6F746573  # "notes": serialises the set-up of processes that start together
_BUSY_TIMEOUT_MS = 5_000


class SqliteWords:
    """Full text in an FTS5 table whose row ids are ``notes.seq``."""

    def create(self, db: Connection) -> None:
        """Make the index if it is not there."""
        db.execute(
            text(
                "CREATE VIRTUAL TABLE IF NOT EXISTS notes_words USING fts5"
                "(title, body, tokenize = 'unicode61 remove_diacritics 0')"
            )
        )

    def write(self, db: Connection, seq: int, title: str, body: str) -> None:
        """Index one note anew."""
        self.erase(db, seq)
        db.execute(
            text("INSERT INTO notes_words (rowid, title, body) VALUES (:seq, :title, :body)"),
            {"seq": seq, "title": title, "body": body},
        )

    def erase(self, db: Connection, seq: int) -> None:
        """Take one note out of the index."""
        db.execute(text("DELETE FROM notes_words WHERE rowid = :seq"), {"seq": seq})

    def find(self, db: Connection, words: Sequence[str], limit: int) -> list[int]:
        """``seq`` of the notes that have a word beginning with each of ``words``, best first."""
        match = " AND ".join(f'"{word}"*' for word in words)
        found = db.execute(
            text(
                "SELECT rowid FROM notes_words WHERE notes_words MATCH :match"
                " ORDER BY rank, rowid LIMIT :limit"
            ),
            {"match": match, "limit": limit},
        )
        return [row[0] for row in found]


class PostgresWords:
    """Full text in a ``tsvector`` column with a GIN index."""

    def create(self, db: Connection) -> None:
        """Make the index if it is not there."""
        db.execute(text("ALTER TABLE notes ADD COLUMN IF NOT EXISTS words tsvector"))
        db.execute(text("CREATE INDEX IF NOT EXISTS notes_words ON notes USING gin (words)"))

    def write(self, db: Connection, seq: int, title: str, body: str) -> None:
        """Index one note anew."""
        db.execute(
            text("UPDATE notes SET words = to_tsvector('simple', :words) WHERE seq = :seq"),
            {"seq": seq, "words": f"{title}\n{body}"},
        )

    def erase(self, db: Connection, seq: int) -> None:
        """The index is part of the row and goes with it."""

    def find(self, db: Connection, words: Sequence[str], limit: int) -> list[int]:
        """``seq`` of the notes that have a word beginning with each of ``words``, best first."""
        query = " & ".join(f"'{word}':*" for word in words)
        found = db.execute(
            text(
                "SELECT seq FROM notes, to_tsquery('simple', :query) AS query WHERE words @@ query"
                " ORDER BY ts_rank(words, query) DESC, seq LIMIT :limit"
            ),
            {"query": query, "limit": limit},
        )
        return [row[0] for row in found]


Words = SqliteWords | PostgresWords


def open_database(database: str) -> tuple[Engine, Words]:
    """Connect to ``database`` (a path, or a postgresql:// URL) and make what is missing in it."""
    if "://" not in database:
        return _open_sqlite(Path(database))
    engine = create_engine(
        database.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=8, pool_pre_ping=True
    )
    words = PostgresWords()
    with engine.begin() as db:
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        METADATA.create_all(db)
        words.create(db)
    return engine, words


def _open_sqlite(path: Path) -> tuple[Engine, Words]:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", pool_size=8)
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    words = SqliteWords()
    # SQLite does not wait when two processes change the journal mode at once, so the first start is guarded.
    with _exclusively(path.with_name(path.name + ".lock")), writing(engine) as db:
        METADATA.create_all(db)
        words.create(db)
    return engine, words


def _prepare_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions behind SQLAlchemy's back
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(db: Connection) -> None:
    db.exec_driver_sql(str(db.get_execution_options().get("notes_begin", "BEGIN")))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes. On SQLite it takes the write lock at once, so that it cannot fail later."""
    with engine.execution_options(notes_begin="BEGIN IMMEDIATE").begin() as db:
        yield db


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
