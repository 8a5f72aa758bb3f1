"""``gonogo version``."""

from __future__ import annotations

from gonogo import __version__
from gonogo.cli import options, screen


def version(json: options.Json = False) -> None:
    """Print the version of gonogo."""
    if json:
        screen.print_json({"gonogo": __version__})
    else:
        screen.out().print(f"gonogo {__version__}")
