"""``gonogo decide``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.cli import options, screen
from gonogo.watch.decision import Choice


def decide(
    context: typer.Context,
    choice: Annotated[Choice, typer.Argument(help="accept keeps the new version, roll-back goes back.")],
    person: options.As,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the record.")],
    environment: options.Environment = None,
) -> None:
    """Decide on a deployment whose watch could not tell."""
    from gonogo.acts import deploying  # statistics take a second to import; only these commands pay for it

    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        record = deploying.decide(desk, choice=choice, person=person, reason=reason)
    console = screen.out()
    console.print(
        Text.assemble(("✓ ", "green"), f"{person} decided to {choice.value} {record.version} ({record.id})")
    )
    if record.ending is not None:
        console.print(screen.next_line(f"gonogo deploy {record.version} --resume"))
    else:
        console.print("the running deployment acts on it at its next look")
