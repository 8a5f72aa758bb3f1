"""``gonogo sign``."""

from __future__ import annotations

from typing import Annotated

import typer

from gonogo import bootstrap
from gonogo.acts import statements
from gonogo.acts.judging import current_board
from gonogo.cli import options, screen
from gonogo.cli.board import print_board
from gonogo.cli.said import print_said


def sign(
    context: typer.Context,
    role_or_check: Annotated[
        str, typer.Argument(metavar="ROLE_OR_CHECK_ID", help="Such as tech-lead or signoff.build-lead.")
    ],
    person: options.As,
    key: options.Key,
    version: options.Version = None,
    environment: options.Environment = None,
) -> None:
    """Show the board and put a role's signature under exactly what was shown."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        release, _ = desk.candidate(version)
        shown = statements.show(desk, release)
        print_board(shown.board, screen.err())
        given = statements.sign(desk, release, shown, role_or_check=role_or_check, person=person, key=key)
        board = current_board(desk, release)
    print_said(
        f"signed {given.check_id} as {given.person}, {given.role}; shown {shown.digest[:12]}",
        given.valid_until,
        board,
    )
