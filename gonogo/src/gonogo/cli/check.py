"""``gonogo check``."""

from __future__ import annotations

from typing import Annotated, Self

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from gonogo import bootstrap
from gonogo.acts.check import check as run_check
from gonogo.cli import options, screen
from gonogo.cli.board import print_board
from gonogo.model.finding import Finding
from gonogo.report.board import document_of


def check(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest with a manifest.")
    ] = None,
    environment: options.Environment = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="GLOB", help="Measure only these ids; may repeat.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Run the checklist for a release and say GO, NO-GO or HOLD."""
    folder = options.folder(context)
    with bootstrap.desk(folder, environment=environment, defaults=True) as desk:
        release, manifest = desk.candidate(version)
        with _Ticker(f"checking {release.service} {release.version} for {release.environment}") as ticker:
            board = run_check(desk, release, manifest, only=only or (), progress=ticker.tell)
    if json:
        screen.print_json(document_of(board))
    else:
        print_board(board, screen.out())
    return board.verdict.exit_code


class _Ticker:
    """What is being found, on one moving line of stderr; silent without a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._console: Console = screen.err()
        self._found = 0
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        if screen.moving():
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tell(self, finding: Finding) -> None:
        """Show the newest finding."""
        self._found += 1
        if finding.built:
            line = Text(f"{self._what}  {self._found}  ", style="dim", no_wrap=True, overflow="ellipsis")
            self._live.update(
                line.append_text(screen.answer_text(finding.answer)).append(f" {finding.check_id}")
            )
