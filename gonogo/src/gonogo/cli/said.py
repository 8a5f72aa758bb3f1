"""What is printed after a person said something: that it is recorded, and what the gate says now."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from gonogo.cli import screen
from gonogo.cli.board import verdict_line
from gonogo.report.board import Board


def print_said(what: str, ends_at: datetime | None, board: Board) -> None:
    """``✓ signed ...`` and the verdict as it stands with it."""
    console = screen.out()
    end = f", holds until {ends_at:%Y-%m-%d %H:%M} UTC" if ends_at else ""
    line = Text.assemble(
        ("✓ ", "green"), f"{what}  ({board.name}, fingerprint {board.fingerprint[:12]}{end})"
    )
    console.print(line)
    console.print(verdict_line(board))
    console.print(screen.next_line(board.next))
