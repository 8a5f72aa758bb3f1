"""The one place that turns an exception into text and an exit code.

A ``GonogoError`` is printed as ``error[ID]: ...`` with its note and hint. A usage fault is
``error[cli.usage]``. Anything else is a defect of gonogo: its traceback is kept in a file that the
message names, and a person never sees it bare.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable

import typer
from rich.console import Console
from rich.text import Text

from gonogo import __version__
from gonogo.cli import screen
from gonogo.model.errors import GonogoError

FAILED = 1
USAGE = 2
INTERRUPTED = 130


def run(call: Callable[[], int | None]) -> int:
    """Call and return the exit code; whatever is raised is explained on stderr."""
    try:
        return call() or 0
    except GonogoError as error:
        show(error)
        return error.exit_code
    except typer.TyperException as error:
        show(_usage(error))
        return USAGE
    except typer.Abort:
        return USAGE
    except KeyboardInterrupt:
        screen.err().print("interrupted; what was recorded is kept")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout went away, such as `gonogo check | head`; keep Python quiet at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 - the outermost boundary: nothing may reach a person bare
        show(_internal(error))
        return USAGE


def show(error: GonogoError, console: Console | None = None) -> None:
    """``error[ID]: ...``, ``note: ...`` and ``help: ...`` on stderr."""
    console = console or screen.err()
    console.print(Text.assemble((f"error[{error.error_id}]", "bold red"), f": {error.message}"))
    if error.note:
        console.print(Text.assemble(("note: ", "bold"), error.note))
    if error.hint:
        console.print(Text.assemble(("help: ", "bold cyan"), error.hint))


def _usage(error: typer.TyperException) -> GonogoError:
    message = str(getattr(error, "message", "") or error).strip().rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "gonogo"
    return GonogoError(
        "cli.usage", (message[:1].lower() + message[1:]).replace("\n", " "), hint=f"{command} --help"
    )


def _internal(error: Exception) -> GonogoError:
    with tempfile.NamedTemporaryFile(
        "w", prefix="gonogo-", suffix=".traceback", delete=False, encoding="utf-8"
    ) as kept:
        kept.write(f"gonogo {__version__}, Python {sys.version}\n{sys.argv!r}\n\n")
        kept.writelines(traceback.format_exception(error))
    what = (str(error).splitlines() or [""])[0][:200]
    return GonogoError(
        "internal",
        f"a defect in gonogo: {type(error).__name__}{': ' if what else ''}{what}",
        note=f"the traceback is in {kept.name}; the journal is kept",
        hint="report it with that file; the same command may be run again",
    )
