"""Where words go: results to stdout, messages to stderr, and how an answer looks.

Colour never carries meaning alone: every answer has a symbol and a word. NO_COLOR and pipes give plain
text; nothing moves unless stderr is a terminal.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.text import Text

from gonogo.model.finding import Answer
from gonogo.model.verdict import Verdict

PIPE_WIDTH: Final = 400

SYMBOL: Final[Mapping[Answer, str]] = {
    Answer.PASS: "✓",
    Answer.WARN: "!",
    Answer.FAIL: "✗",
    Answer.UNKNOWN: "?",
    Answer.NOT_APPLICABLE: "-",
}
STYLE: Final[Mapping[Answer, str]] = {
    Answer.PASS: "green",
    Answer.WARN: "yellow",
    Answer.FAIL: "bold red",
    Answer.UNKNOWN: "magenta",
    Answer.NOT_APPLICABLE: "dim",
}
VERDICT_STYLE: Final[Mapping[Verdict, str]] = {
    Verdict.GO: "bold green",
    Verdict.NO_GO: "bold red",
    Verdict.HOLD: "bold magenta",
}


def out() -> Console:
    """The console for results."""
    return _console(sys.stdout)


def err() -> Console:
    """The console for messages and progress."""
    return _console(sys.stderr)


def moving() -> bool:
    """Whether something may move on stderr: a terminal that a person looks at."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def print_tight(content: RenderableType, console: Console) -> None:
    """Print without the blanks that fill up the ends of lines."""
    with console.capture() as captured:
        console.print(content)
    lines = (re.sub(r" +((?:\x1b\[[0-9;]*m)*)$", r"\1", line) for line in captured.get().splitlines())
    console.file.write("\n".join(lines) + "\n")


def answer_text(answer: Answer) -> Text:
    """Symbol and word of an answer, ten cells wide."""
    return Text(f"{SYMBOL[answer]} {answer.value:<8}", style=STYLE[answer])


def next_line(command: str) -> Text:
    """The one thing to do now."""
    return Text.assemble(("next: ", "bold"), command)


def seconds(elapsed_s: float) -> str:
    """A duration as people read it: ``0.41 s``, ``12.3 s``, ``4 min 10 s``, ``3 h 5 min``."""
    if elapsed_s < 1:
        return f"{elapsed_s:.2f} s"
    if elapsed_s < 120:
        return f"{elapsed_s:.1f} s"
    minutes, rest = divmod(round(elapsed_s), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _console(stream: Any) -> Console:
    plain = not stream.isatty()
    return Console(
        file=stream, highlight=False, markup=False, width=PIPE_WIDTH if plain else None, soft_wrap=plain
    )
