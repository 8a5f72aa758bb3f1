"""What the demo prints: plain text, a little weight where a terminal shows it, nothing that moves."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_WIDTH = 100


class Screen:
    """Writes to standard output. Only weight is ever added, and only for a terminal without NO_COLOR."""

    def __init__(self) -> None:
        self._weighty = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def chapter(self, number: int, title: str) -> None:
        """Begin a part of the story."""
        self.say("")
        self.say(self._bold(f"{number}  {title}"))
        self.say("─" * min(_WIDTH, len(title) + 3))

    def say(self, text: str) -> None:
        """One line or more."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def command(self, arguments: Sequence[str]) -> None:
        """A command as a person would type it."""
        self.say(self._bold("$ " + " ".join(_quoted(argument) for argument in arguments)))

    def output(self, line: str) -> None:
        """A line that a command wrote."""
        self.say("  " + line)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their widest cell."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.say("  ".join(cells).rstrip())

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._weighty else text


def _quoted(argument: str) -> str:
    return f"'{argument}'" if " " in argument else argument
