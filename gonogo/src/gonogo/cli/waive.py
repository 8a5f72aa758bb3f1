"""``gonogo waive``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gonogo import bootstrap
from gonogo.acts import statements
from gonogo.acts.judging import current_board
from gonogo.cli import options
from gonogo.cli.said import print_said


def waive(
    context: typer.Context,
    check_id: Annotated[str, typer.Argument(metavar="CHECK_ID", help="The requirement that fails.")],
    person: options.As,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why this failure is accepted.")],
    until: Annotated[
        datetime,
        typer.Option("--until", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="When it ends (UTC)."),
    ],
    key: options.Key,
    version: options.Version = None,
    environment: options.Environment = None,
) -> None:
    """Accept a failure for a while, over your signature. It is never shown as a pass."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        release, _ = desk.candidate(version)
        given = statements.waive(
            desk,
            release,
            check_id=check_id,
            person=person,
            reason=reason,
            ends_at=until.replace(tzinfo=UTC),
            key=key,
        )
        board = current_board(desk, release)
    print_said(f"waived {given.check_id} as {given.owner}", given.ends_at, board)
