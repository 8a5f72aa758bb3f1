"""Draws a saved check as a picture of the terminal: the README's board is made by the program itself.

gonogo check 1.1.0 --json > check.json
python scripts/board_picture.py check.json docs/images/board.svg
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from gonogo.cli.board import board_view
from gonogo.report.board import board_from

WIDTH = 118
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
THEME = TerminalTheme(
    (22, 24, 29),
    (226, 224, 219),
    [(22, 24, 29), (255, 138, 128), (92, 203, 141), (231, 185, 85), (138, 185, 242), (199, 163, 240),
     (120, 205, 215), (226, 224, 219)],
    [(120, 125, 138), (255, 138, 128), (92, 203, 141), (231, 185, 85), (138, 185, 242), (199, 163, 240),
     (120, 205, 215), (255, 255, 255)],
)  # fmt: skip


def picture(saved: bytes, *, title: str) -> str:
    """The board as an SVG that asks no other server for anything."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        highlight=False, markup=False,
    )  # fmt: skip
    console.print(board_view(board_from(saved)))
    drawn = console.export_svg(title=title, theme=THEME, unique_id="board")
    return FONT_FACE.sub("", drawn).replace("Fira Code", "ui-monospace, DejaVu Sans Mono, Menlo, Consolas")


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    board = board_from(source.read_bytes())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(picture(source.read_bytes(), title=f"gonogo check {board.version}"), "utf-8")
