"""Looking for alterations: reads every stored value of every row and compares it with what the chain demands.

It trusts nothing it reads, so it works on raw rows instead of ``Entry`` values. It does not look at evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, text
from sqlalchemy.exc import DatabaseError

from gonogo.journal.canonical import GENESIS, canonical_json, link_hash
from gonogo.journal.head import Head, read_head
from gonogo.journal.schema import ENTRIES
from gonogo.model.clock import time_from
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of

_TEXT_COLUMNS = ("kind", "at", "actor", "release", "body", "prev", "hash")


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where a record is not as it was written.

    Attributes:
        seq: the entry concerned; 0 where it concerns the whole.
        what: a few words: what does not fit.
    """

    seq: int
    what: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain as it stands, unproven. ``body_digest`` is of the body's text."""

    seq: int
    kind: str
    at: str
    actor: str
    release: str
    body_digest: str
    prev: str
    hash: str


def faults_of(database: Engine, folder: Path) -> list[Fault]:
    """Every fault of the database and of the head file in ``folder``."""
    try:
        head = read_head(folder)  # before the rows: others may append meanwhile
    except ValueError as cause:
        return [Fault(0, "head file unreadable", "sequence number and hash", str(cause))]
    faults: list[Fault] = []
    links: list[Link] = []
    try:
        with database.connect() as connection:
            faults += _damage(connection)
            for row in connection.execute(select(ENTRIES).order_by(ENTRIES.c.seq)):
                faults += _row_faults(row)
                if all(isinstance(value, str) for value in row[1:]):
                    links.append(_link_of(row))
    except DatabaseError as cause:
        return [*faults, Fault(0, "database unreadable", "rows that SQLite can read", str(cause.orig))]
    return faults + chain_faults(links) + _head_faults(head, links)


def chain_faults(links: list[Link]) -> list[Fault]:
    """Where the links do not make one gapless chain from its first entry."""
    faults: list[Fault] = []
    if not links:
        return [Fault(0, "chain empty", "at least the first entry", "none")]
    seq, prev = 0, GENESIS
    for link in links:
        if link.seq != seq + 1:
            faults.append(Fault(link.seq, "sequence broken", str(seq + 1), str(link.seq)))
        if link.prev != prev:
            faults.append(Fault(link.seq, "not linked to the entry before", prev, link.prev))
        demanded = link_hash(
            seq=link.seq,
            kind=link.kind,
            at=link.at,
            actor=link.actor,
            release=link.release,
            body_digest=link.body_digest,
            prev=link.prev,
        )
        if link.hash != demanded:
            faults.append(Fault(link.seq, "hash does not fit the entry", demanded, link.hash))
        seq, prev = link.seq, link.hash
    return faults


def text_faults(seq: int, at: str, body: str) -> Iterator[Fault]:
    """Where an entry's texts are not in the one form in which they are written."""
    try:
        time_from(at)
    except ValueError as cause:
        yield Fault(seq, "time not in its canonical form", "UTC with microseconds", str(cause))
    try:
        parsed = json.loads(body)
        canonical = canonical_json(parsed)
    except (ValueError, RecursionError, GonogoError) as cause:
        yield Fault(seq, "body is not JSON", "canonical JSON", str(cause))
        return
    if not isinstance(parsed, dict):
        yield Fault(seq, "body is not an object", "a JSON object", type(parsed).__name__)
    elif canonical != body:
        yield Fault(seq, "body not in its canonical form", canonical[:200], body[:200])


def _damage(connection: Connection) -> list[Fault]:
    """What SQLite itself finds wrong with the file: pages, indexes and constraints."""
    results = connection.execute(text("PRAGMA integrity_check(20)")).scalars().all()
    return [Fault(0, "database damaged", "ok", str(result)) for result in results if result != "ok"]


def _row_faults(row: Row[Any]) -> list[Fault]:
    values = row._asdict()
    wrong = [name for name in _TEXT_COLUMNS if not isinstance(values[name], str)]
    if wrong:
        return [
            Fault(row.seq, f"column {name} has another type", "text", type(values[name]).__name__)
            for name in wrong
        ]
    return list(text_faults(row.seq, row.at, row.body))


def _link_of(row: Row[Any]) -> Link:
    return Link(
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        actor=row.actor,
        release=row.release,
        body_digest=digest_of(row.body.encode()),
        prev=row.prev,
        hash=row.hash,
    )


def _head_faults(head: Head | None, links: list[Link]) -> list[Fault]:
    reached = links[-1].seq if links else 0
    if head is None:
        return [Fault(reached, "head file missing", "journal.head beside the database", "none")]
    if head.seq > reached:
        return [Fault(reached, "tail cut off", f"entries up to {head.seq}", f"up to {reached}")]
    named = [link.hash for link in links if link.seq == head.seq]
    if named != [head.hash]:
        got = named[0] if named else "no such entry"
        return [Fault(head.seq, "entry is not the one the head file names", head.hash, got)]
    return []
