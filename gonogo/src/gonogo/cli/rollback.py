"""``gonogo rollback``."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from gonogo import bootstrap
from gonogo.cli import options
from gonogo.cli.ending import print_ending
from gonogo.cli.steps import Steps
from gonogo.deploy.ledger import Ending


def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the record.")],
    environment: options.Environment = None,
    json: options.Json = False,
) -> int:
    """Make the version before the last deployment serve again, and see that it does."""
    from gonogo.acts import deploying  # statistics take a second to import; only these commands pay for it

    with bootstrap.desk(options.folder(context), environment=environment) as desk, Steps() as steps:
        result = deploying.rollback(desk, reason=reason, actor=getpass.getuser(), progress=steps.show)
    print_ending(result, json=json)
    return 0 if result.ending in {Ending.ROLLED_BACK, Ending.ABORTED} else result.exit_code
