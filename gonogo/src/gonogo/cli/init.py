"""``gonogo init``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.cli import options, screen
from gonogo.config.detect import Repository, look_at
from gonogo.config.starter import PROFILE, write_starter


def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Replace a gonogo.toml that is there.")] = False,
) -> None:
    """Write a commented gonogo.toml and a first release manifest for this repository."""
    folder = options.folder(context)
    seen = look_at(folder)
    checks = bootstrap.machine_checks()
    _, written = write_starter(folder, seen, checks, force=force)
    console = screen.out()
    for path in written:
        console.print(Text.assemble(("wrote ", "bold green"), str(path)))
    for line in _noticed(seen):
        console.print(f"  {line}")
    console.print(f"  profile     {PROFILE}: {len(checks)} requirements that a machine can measure")
    version = (seen.versions or (seen.version,))[-1]
    console.print(screen.next_line(f"gonogo check {version}"))


def _noticed(seen: Repository) -> list[str]:
    missing = "not found; "
    return [
        f"service     {seen.name}",
        f"server      {seen.target or missing + 'name it in the manifest'}",
        f"lock file   {seen.lock or missing + 'commit one with hashes'}",
        f"unit tests  {' '.join(seen.unit_tests) or missing + 'set commands.unit_tests'}",
    ]
