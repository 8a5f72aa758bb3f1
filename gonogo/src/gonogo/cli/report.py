"""``gonogo report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.acts.reporting import page_of
from gonogo.cli import options, screen
from gonogo.report.page import render

FOLDER = "reports"


def report(
    context: typer.Context,
    version: options.Version = None,
    environment: options.Environment = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.html", help="Default: in the state folder."),
    ] = None,
) -> None:
    """Write one HTML page: the verdict, who approved what on which evidence, the deployment."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        page = page_of(desk, version)
        target = output or desk.loaded.state / FOLDER / f"{page.board.service}-{page.board.version}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(render(page), "utf-8")
    screen.out().print(Text.assemble(("wrote ", "bold green"), str(target)))
