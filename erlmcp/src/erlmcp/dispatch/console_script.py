"""Finds the function behind the name of an installed command, in the interpreter that runs this."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from erlmcp.dispatch.errors import GuestError


def console_script(name: str) -> EntryPoint:
    """The entry point of a command.

    Raises:
        GuestError: guest.not-found, with names that are close; guest.ambiguous when distributions disagree.
    """
    found = {each.value: each for each in entry_points(group="console_scripts", name=name)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise GuestError(
            "guest.ambiguous",
            f"the command {name!r} is installed more than once, got {', '.join(sorted(found))}; expected one",
            hint="name the function itself, as package.module:main",
        )
    close = get_close_matches(name, entry_points(group="console_scripts").names, n=3)
    raise GuestError(
        "guest.not-found",
        f"there is no command {name!r} among the packages of {sys.executable}; expected"
        " package.module:object, path/file.py or the name of an installed command",
        hint=f"perhaps {' or '.join(close)}" if close else "install its package where the guest runs",
    )
