"""The journal: an append-only chain of entries in SQLite. State is a fold of these, never stored beside them.

An append is one transaction that holds the write lock from reading the newest entry to adding the next
(``BEGIN IMMEDIATE``), so that any number of processes make one gapless chain; it is on the disk when
``append`` returns (WAL with ``synchronous=FULL``). It is not a database of facts: reading means going through
entries.

Neighbours: ``canonical`` says what is hashed, ``verification`` looks for alterations, ``head`` notices a
cut-off tail, ``evidence`` keeps what is too large for an entry.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, Row, create_engine, event, func, insert, select
from sqlalchemy.exc import DatabaseError

import gonogo
from gonogo.journal import schema
from gonogo.journal.canonical import GENESIS, body_text, hash_of, link_hash
from gonogo.journal.head import FILE_NAME as HEAD_NAME
from gonogo.journal.head import Head, advance_head, folder_lock, read_head
from gonogo.journal.schema import ENTRIES
from gonogo.journal.verification import Fault, faults_of
from gonogo.model.clock import Clock, time_from, time_text
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of

DATABASE_NAME = "journal.sqlite"
FORMAT = 1
BUSY_TIMEOUT_S = 10.0
_PAGE_ROWS = 500
_READS_ONLY = "gonogo_reads_only"


class Journal:
    """One service's record. Open it with ``Journal.open``; close it or use it as a context manager."""

    def __init__(self, folder: Path, engine: Engine, clock: Clock) -> None:
        self.folder = folder
        self._engine = engine
        self._reading = engine.execution_options(**{_READS_ONLY: True})
        self._clock = clock

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Clock,
        service: str,
        create: bool = True,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> Journal:
        """Open the journal in ``folder``; a new one begins with an ``OPENED`` entry.

        Args:
            create: False makes a missing journal an error rather than a new one.
            busy_timeout_s: how long an append waits for other writers, seconds.

        Raises:
            GonogoError: ``journal.not-found``, ``journal.newer-format``, ``journal.altered`` if the database
                cannot be read as one, ``journal.busy``.
        """
        if not create and not (folder / DATABASE_NAME).exists():
            raise GonogoError(
                "journal.not-found",
                f"there is no journal here, got {folder}; expected it to hold {DATABASE_NAME}",
                hint="run `gonogo check` once, or point to the repository with -C DIR",
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = cls(folder, _engine_for(folder / DATABASE_NAME, busy_timeout_s), clock)
        with folder_lock(folder):
            fresh = journal._prepare(service)
        if fresh is not None:
            advance_head(folder, Head(fresh.seq, fresh.hash))
        return journal

    def append(self, kind: EntryKind, body: Mapping[str, Any], *, actor: str, release: str) -> Entry:
        """Add one entry; when this returns it is on the disk.

        Raises:
            GonogoError: ``journal.bad-body``, ``journal.body-too-large``, ``journal.busy`` if another process
                holds the journal too long, ``journal.altered`` if the newest entry is not what was written.
        """
        with _explained(), self._engine.begin() as connection:
            entry = self._add(connection, kind, body_text(body), actor, release)
        advance_head(self.folder, Head(entry.seq, entry.hash))
        return entry

    def entries(
        self,
        *,
        release: str | None = None,
        kinds: Collection[EntryKind] | None = None,
        after_seq: int = 0,
    ) -> Iterator[Entry]:
        """Entries in order, oldest first; each is checked against its own hash on the way.

        Raises:
            GonogoError: ``journal.altered`` at the first entry that is not what was written.
        """
        query = select(ENTRIES).order_by(ENTRIES.c.seq).limit(_PAGE_ROWS)
        if release is not None:
            query = query.where(ENTRIES.c.release == release)
        if kinds is not None:
            query = query.where(ENTRIES.c.kind.in_([str(kind) for kind in kinds]))
        while True:
            with _explained(), self._reading.connect() as connection:
                rows = connection.execute(query.where(ENTRIES.c.seq > after_seq)).all()
            for row in rows:
                yield _entry_from(row)
            if len(rows) < _PAGE_ROWS:
                return
            after_seq = rows[-1].seq

    def head(self) -> Entry:
        """The newest entry."""
        with _explained(), self._reading.connect() as connection:
            return self._newest(connection)

    def verify(self) -> list[Fault]:
        """Everything about the chain that is not as it was written; empty means nothing was found.

        It proves that entries were not changed, removed, inserted or reordered, and by the head file that the
        tail was not cut off. Evidence is verified by ``EvidenceStore.verify_all``.
        """
        with _explained():
            return faults_of(self._reading, self.folder)

    def close(self) -> None:
        """Give the database back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self, service: str) -> Entry | None:
        """Bring the tables up to date, begin an empty journal, and say which entry the head file misses."""
        with _explained(), self._engine.begin() as connection:
            schema.bring_up_to_date(connection)
            if connection.execute(select(ENTRIES.c.seq).limit(1)).first() is None:
                body = {"gonogo": gonogo.__version__, "service": service, "format": FORMAT}
                return self._add(connection, EntryKind.OPENED, body_text(body), "gonogo", "")
            killed_at_birth = (
                connection.execute(select(func.max(ENTRIES.c.seq))).scalar_one() == 1
                and not (self.folder / HEAD_NAME).exists()
            )
            return self._newest(connection) if killed_at_birth else None

    def _add(self, connection: Connection, kind: EntryKind, body: str, actor: str, release: str) -> Entry:
        newest = connection.execute(select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(1)).first()
        seq, prev = (1, GENESIS) if newest is None else (newest.seq + 1, newest.hash)
        self._refuse_altered(newest)
        at = time_text(self._clock())
        link = link_hash(
            seq=seq,
            kind=kind,
            at=at,
            actor=actor,
            release=release,
            body_digest=digest_of(body.encode()),
            prev=prev,
        )
        row = {"seq": seq, "kind": str(kind), "at": at, "actor": actor, "release": release}
        connection.execute(insert(ENTRIES).values(row | {"body": body, "prev": prev, "hash": link}))
        return Entry(seq, kind, time_from(at), actor, release, json.loads(body), prev, link)

    def _refuse_altered(self, newest: Row[Any] | None) -> None:
        """Never build on a newest entry that was changed, nor where a tail is missing."""
        head = _head_file(self.folder)
        reached = 0 if newest is None else _entry_from(newest).seq
        if head is not None and head.seq > reached:
            raise _altered(f"entries {reached + 1} to {head.seq} are missing")

    def _newest(self, connection: Connection) -> Entry:
        row = connection.execute(select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(1)).first()
        if row is None:
            raise _altered("it holds no entry, not even its first")
        return _entry_from(row)


def _engine_for(path: Path, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_timeout_s, "isolation_level": None},
        pool_reset_on_return="rollback",
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads_only = connection.get_execution_options().get(_READS_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what SQLite says into errors that a person can act on."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as cause:
        original = cause.orig if isinstance(cause, DatabaseError) else cause
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise GonogoError(
                "journal.busy",
                "another process holds the journal, got no write lock in time; expected one within seconds",
                hint="see which gonogo is running, then try again",
            ) from cause
        if code in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CANTOPEN,
        ):
            raise GonogoError(
                "journal.not-writable",
                f"the journal cannot be written, got {original}; expected a writable folder with room",
                hint="check the disk and the owner of the folder that gonogo.toml names as state",
            ) from cause
        raise _altered(f"the database cannot be read: {original}") from cause


def _entry_from(row: Row[Any]) -> Entry:
    try:
        entry = Entry(
            seq=row.seq,
            kind=_kind_of(row),
            at=time_from(row.at),
            actor=row.actor,
            release=row.release,
            body=json.loads(row.body),
            prev=row.prev,
            hash=row.hash,
        )
        intact = hash_of(entry) == entry.hash
    except (TypeError, ValueError, GonogoError) as cause:
        if isinstance(cause, GonogoError) and cause.error_id == "journal.newer-format":
            raise
        raise _altered(f"entry {row.seq} cannot be read: {cause}") from cause
    if not intact:
        raise _altered(f"entry {row.seq} is not what was written")
    return entry


def _kind_of(row: Row[Any]) -> EntryKind:
    try:
        return EntryKind(row.kind)
    except ValueError as cause:
        raise GonogoError(
            "journal.newer-format",
            f"entry {row.seq} is of a kind that this gonogo does not know, got {row.kind!r}",
            hint="use the gonogo that wrote it, or run `gonogo verify` to see whether it was altered",
        ) from cause


def _head_file(folder: Path) -> Head | None:
    try:
        return read_head(folder)
    except ValueError as cause:
        raise _altered(f"the head file cannot be read: {cause}") from cause


def _altered(what: str) -> GonogoError:
    return GonogoError(
        "journal.altered",
        f"the journal is not what was written: {what}",
        hint="run `gonogo verify` to see every place, then restore the journal from a copy",
        exit_code=1,
    )
