"""Live steps of a deployment on stderr: one line for each step that ended, one that moves for the one
that runs. Without a terminal nothing moves and every line stays.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gonogo.cli import screen
from gonogo.deploy.progress import ProgressEvent, StepState
from gonogo.model.watch import Outcome

_SYMBOL = {StepState.FINISHED: ("✓", "green"), StepState.FAILED: ("✗", "bold red")}
NAME_WIDTH = 10
TOOK_WIDTH = 12


class Steps:
    """Shows progress events as they come. Use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or screen.err()
        self._running: _Running | None = None
        self._live = (
            Live(console=self._console, refresh_per_second=8, transient=True) if screen.moving() else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._still()

    def show(self, event: ProgressEvent) -> None:
        """Draw one event."""
        if event.state is StepState.STARTED:
            self._begin(event)
        elif event.state is StepState.NOTE:
            self._note(event)
        else:
            self._still()
            self._console.print(_ended(event))

    def _begin(self, event: ProgressEvent) -> None:
        self._running = _Running(event.step, event.text, time.monotonic() - event.elapsed_s)
        if self._live is not None:
            self._live.update(self._running)
            self._live.start()

    def _note(self, event: ProgressEvent) -> None:
        """What is going on; without a terminal a line only when there is something new to read."""
        running = self._running
        took_s = event.elapsed_s
        if running is not None and running.step == event.step:
            took_s = running.elapsed_s
            is_news, running.text = event.text != running.text, event.text
            if self._live is not None or not is_news:
                return
        line = Text(f"  {event.step:<{NAME_WIDTH}}{screen.seconds(took_s):>{TOOK_WIDTH}}  ", style="dim")
        self._console.print(line.append(event.text))

    def _still(self) -> None:
        self._running = None
        if self._live is not None:
            self._live.stop()


class _Running:
    """The step that runs now, with its own clock."""

    def __init__(self, step: str, text: str, began: float) -> None:
        self.step = step
        self.text = text
        self._began = began
        self._spinner = Spinner("dots", style="cyan")

    @property
    def elapsed_s(self) -> float:
        """Since the step began, seconds."""
        return time.monotonic() - self._began

    def __rich__(self) -> Table:
        line = Table.grid(padding=(0, 1, 0, 0))
        took = screen.seconds(self.elapsed_s)
        head = Text(f"{self.step:<{NAME_WIDTH - 1}}{took:>{TOOK_WIDTH - 1}} ", style="bold")
        line.add_row(self._spinner, head, Text(self.text))
        return line


def _ended(event: ProgressEvent) -> Text:
    """A step that ended; one that reached a bad verdict in good order is not shown as well done."""
    outcome = event.data.get("outcome", Outcome.PASS)
    symbol, style = _SYMBOL[event.state]
    if event.state is StepState.FINISHED and outcome != Outcome.PASS:
        symbol, style = ("✗", "bold red") if outcome == Outcome.FAIL else ("?", "magenta")
    line = Text.assemble((symbol, style), f" {event.step:<{NAME_WIDTH}}")
    line.append(f"{screen.seconds(event.elapsed_s):>{TOOK_WIDTH}}  ", style="dim")
    return line.append(event.text)
