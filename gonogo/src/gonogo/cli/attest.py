"""``gonogo attest``."""

from __future__ import annotations

from typing import Annotated

import typer

from gonogo import bootstrap
from gonogo.acts import statements
from gonogo.acts.judging import current_board
from gonogo.cli import options
from gonogo.cli.said import print_said


def attest(
    context: typer.Context,
    check_id: Annotated[str, typer.Argument(metavar="CHECK_ID", help="An assisted requirement.")],
    person: options.As,
    statement: Annotated[
        str, typer.Option("--statement", metavar="TEXT", help="What you say about it, in a sentence.")
    ],
    key: options.Key,
    version: options.Version = None,
    environment: options.Environment = None,
) -> None:
    """Say in your own signed words what only a person knows."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        release, _ = desk.candidate(version)
        given = statements.attest(
            desk, release, check_id=check_id, person=person, statement=statement, key=key
        )
        board = current_board(desk, release)
    print_said(f"attested {given.check_id} as {given.person}", given.valid_until, board)
