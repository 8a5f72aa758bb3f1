"""Alembic's entry point: runs the revisions on the connection that ``journal.schema`` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
