"""``gonogo export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.cli import options, screen
from gonogo.journal.bundle import export as write_bundle


def export(
    context: typer.Context,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the bundle goes.")],
    version: options.Version = None,
    environment: options.Environment = None,
) -> None:
    """Write one release's record with its evidence into a bundle that anyone can verify offline."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        release = desk.release_id(desk.version_or_newest(version))
        keys = {person.id: person.ssh_keys for person in desk.roster}
        written = write_bundle(desk.journal, desk.evidence, output, release, keys=keys)
    console = screen.out()
    console.print(Text.assemble(("wrote ", "bold green"), str(written)))
    console.print(screen.next_line(f"gonogo verify {written}"))
