"""How a deployment or a rollback ended, in a few lines: the outcome last, then what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from gonogo.cli import faults, screen
from gonogo.deploy.ledger import Ending
from gonogo.model.errors import GonogoError

if TYPE_CHECKING:
    from gonogo.deploy.deployment import DeploymentResult

_WORDS = {
    Ending.DONE: ("DONE", "bold green"),
    Ending.ROLLED_BACK: ("ROLLED BACK", "bold yellow"),
    Ending.ABORTED: ("ABORTED", "bold yellow"),
    Ending.FAILED: ("FAILED", "bold red"),
    Ending.WAITING: ("WAITING", "bold magenta"),
}


def print_ending(result: DeploymentResult, *, json: bool) -> None:
    """The ending on stdout; what stopped it, if something did, on stderr."""
    if json:
        screen.print_json({**msgspec.to_builtins(result), "exit_code": result.exit_code})
        return
    if result.error is not None:
        error = result.error
        faults.show(
            GonogoError(error["id"], error["message"], hint=error.get("hint"), note=error.get("note"))
        )
    console = screen.out()
    word, style = _WORDS[result.ending]
    line = Text.assemble((word, style), f"  {result.version}: {result.reason}")
    console.print(line)
    if result.rollback_s is not None:
        console.print(f"{result.serving} served again {screen.seconds(result.rollback_s)} after the verdict")
    console.print(f"deployment {result.deployment}, now serving: {result.serving or 'unknown'}", style="dim")
    console.print(screen.next_line(_next(result)))


def _next(result: DeploymentResult) -> str:
    if result.ending is Ending.WAITING:
        return 'gonogo decide accept --as PERSON --reason "..."'
    if result.ending is Ending.FAILED:
        return "gonogo status"
    return f"gonogo report --version {result.version}"
