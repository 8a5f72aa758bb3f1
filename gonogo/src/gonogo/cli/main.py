"""The program: all commands, the global options, the exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gonogo.cli import faults
from gonogo.cli.attest import attest
from gonogo.cli.check import check
from gonogo.cli.decide import decide
from gonogo.cli.deploy import deploy
from gonogo.cli.explain import explain
from gonogo.cli.export import export
from gonogo.cli.init import init
from gonogo.cli.report import report
from gonogo.cli.rollback import rollback
from gonogo.cli.sign import sign
from gonogo.cli.status import status
from gonogo.cli.verify import verify
from gonogo.cli.version import version
from gonogo.cli.waive import waive

app = typer.Typer(
    name="gonogo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def program(
    directory: Annotated[
        Path, typer.Option("-C", metavar="DIR", help="Work as if started in DIR.", file_okay=False)
    ] = Path(),
) -> None:
    """Takes a release from candidate to verified in production, on evidence.

    Exit codes: 0 GO or done, 1 NO-GO or failed, 2 usage or internal error, 3 HOLD (it could not be told).
    """
    if not directory.is_dir():
        raise typer.BadParameter(f"no folder {str(directory)!r}")


COMMANDS = (
    init,
    check,
    explain,
    attest,
    sign,
    waive,
    status,
    deploy,
    decide,
    rollback,
    report,
    export,
    verify,
    version,
)
for command in COMMANDS:
    app.command()(command)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return faults.run(lambda: app(args=given, prog_name="gonogo", standalone_mode=False))
