"""The journal's table and how a database comes to have it.

Migrations are Alembic's, in ``migrations/``. Loading Alembic costs more than a whole append, so the version
is read with one query first and Alembic runs only when the database is not at the newest revision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)

from gonogo.model.errors import GonogoError

HEAD_REVISION: Final = "0001"
KNOWN_REVISIONS: Final = ("0001",)

METADATA = MetaData()

ENTRIES = Table(
    "entries",
    METADATA,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    CheckConstraint("seq >= 1", name="seq_starts_at_one"),
    Index("entries_by_release", "release", "seq"),
)


def revision_of(connection: Connection) -> str | None:
    """The revision the database is at, or None if it holds no journal yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def bring_up_to_date(connection: Connection) -> None:
    """Create or migrate the tables inside the caller's transaction.

    Raises:
        GonogoError: ``journal.newer-format`` if a newer gonogo wrote this journal.
    """
    revision = revision_of(connection)
    if revision == HEAD_REVISION:
        return
    if revision is not None and revision not in KNOWN_REVISIONS:
        raise GonogoError(
            "journal.newer-format",
            f"a newer gonogo wrote the journal, got format {revision}; expected {HEAD_REVISION} or older",
            hint="use the gonogo that wrote it, or a newer one",
        )
    _migrate(connection)


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
