"""What may stand where a guest is named. Text only: whether anything is there is found out by the worker.

Three forms: ``package.module:object.attribute``; ``path/file.py`` with or without ``:object``; and the name
of an installed command such as ``mcp-server-git``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

FORMS: Final = "package.module:object, path/file.py:object, path/file.py or the name of an installed command"

_DOTTED: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_OBJECT: Final = re.compile(rf"(?P<place>{_DOTTED}):(?P<attribute>{_DOTTED})")
_FILE: Final = re.compile(rf"(?P<place>[^:\0\r\n]*[^:/\0\r\n]\.py)(?::(?P<attribute>{_DOTTED}))?")
_COMMAND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Target:
    """A target in its parts.

    Attributes:
        kind: how ``place`` is to be read.
        place: a module, a file or a command.
        attribute: the dotted way to the object; empty for a command and for a file that is run as a script.
    """

    kind: Literal["module", "file", "command"]
    place: str
    attribute: str = ""


def parse(text: str) -> Target | None:
    """The parts of a target; None if it has none of the forms."""
    if found := _FILE.fullmatch(text):
        return Target("file", found["place"], found["attribute"] or "")
    if found := _OBJECT.fullmatch(text):
        return Target("module", found["place"], found["attribute"])
    if _COMMAND.fullmatch(text):
        return Target("command", text)
    return None
