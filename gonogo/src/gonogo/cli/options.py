"""Options that several commands share, so that they are spelt and explained in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Environment = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="Environment; default: the only one, else production."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of text.")]
Version = Annotated[
    str | None, typer.Option("--version", metavar="V", help="Release; default: the newest with a manifest.")
]
As = Annotated[str, typer.Option("--as", metavar="PERSON", help="Your id under [people] in gonogo.toml.")]
Key = Annotated[
    Path, typer.Option("--key", metavar="PATH", help="Your SSH private key; it is only read, never kept.")
]


def folder(context: typer.Context) -> Path:
    """The folder that -C named, or the current one."""
    root = context.find_root()
    return Path(root.params.get("directory") or ".")
