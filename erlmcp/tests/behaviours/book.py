"""The manifest of behaviours, what the tests claim of it, and how the two differ.

A behaviour is one sentence that holds over some cells, each a transport with an era. A test claims it with
``@pytest.mark.behaviour(id)``; the cell is read from the test's parameters; what they do not say, the marker
says. Nobody claims more cells than the test really runs in. Run as a program it writes the reference page.
"""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRANSPORTS = ("http", "tcp", "websocket", "sse", "stdio")
ERAS = ("modern", "handshake", "any")
MANIFEST = Path(__file__).with_name("manifest.toml")

Cell = tuple[str, str]


@dataclass(frozen=True)
class Behaviour:
    """What holds, who says so, and where."""

    id: str
    says: str
    source: str
    cells: frozenset[Cell]


@dataclass(frozen=True)
class Claim:
    """A test that was collected claims a behaviour in one cell."""

    id: str
    cell: Cell
    test: str


class NoCellError(Exception):
    """A marker and the parameters of its test do not make one cell."""


def read_manifest(path: Path = MANIFEST) -> list[Behaviour]:
    """The behaviours in the order of the file.

    Raises:
        KeyError: an entry lacks a member.
    """
    entries = tomllib.loads(path.read_text())["behaviour"]
    return [
        Behaviour(
            entry["id"], entry["says"], entry["source"], frozenset(_cell(text) for text in entry["cells"])
        )
        for entry in entries
    ]


def _cell(text: str) -> Cell:
    transport, _, era = text.partition("/")
    return transport, era


def cell_of(parameters: Mapping[str, Any], said: Mapping[str, str]) -> Cell:
    """The cell in which a test runs.

    Args:
        parameters: of this run of the test, by name.
        said: ``transport`` and ``era`` of the marker, for what no parameter says.

    Raises:
        NoCellError: something is missing, said twice, or unknown.
    """
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if name == "modern_transport":
            found = {"transport": value, "era": "modern"}
        elif name in {"transport", "era"}:
            found[name] = value
        elif isinstance(value, tuple) and value and value[0] in TRANSPORTS:
            found["transport"] = value[0]
            if value[1] in ERAS:
                found["era"] = value[1]
    if found.keys() & said.keys():
        raise NoCellError(
            f"the marker says again what the parameters say: {sorted(found.keys() & said.keys())}"
        )
    found |= said
    if found.get("transport") not in TRANSPORTS or found.get("era") not in ERAS:
        raise NoCellError(f"no transport with an era: {found}")
    return found["transport"], found["era"]


def differences(manifest: Sequence[Behaviour], claims: Iterable[Claim]) -> list[str]:
    """What is wrong, one sentence each; empty when every cell is tested and nothing else is claimed."""
    wrong = [f"{name}: twice in the manifest" for name, count in _counted(manifest).items() if count > 1]
    claimed: dict[str, set[Cell]] = {}
    for claim in claims:
        claimed.setdefault(claim.id, set()).add(claim.cell)
    known = {each.id: each for each in manifest}
    wrong += [f"{name}: claimed by a test and not in the manifest" for name in claimed if name not in known]
    for each in manifest:
        has = claimed.get(each.id, set())
        wrong += [f"{each.id}: no test over {'/'.join(cell)}" for cell in sorted(each.cells - has)]
        wrong += [
            f"{each.id}: tested over {'/'.join(cell)}, not in the manifest" for cell in has - each.cells
        ]
        if not each.cells:
            wrong.append(f"{each.id}: holds nowhere")
        wrong += [f"{each.id}: unknown cell {cell}" for cell in each.cells if not _is_known(cell)]
    return wrong


def _counted(manifest: Sequence[Behaviour]) -> Counter[str]:
    return Counter(each.id for each in manifest)


def _is_known(cell: Cell) -> bool:
    return cell[0] in TRANSPORTS and cell[1] in ERAS


def page(manifest: Sequence[Behaviour]) -> str:
    """The reference page."""
    lines = [
        "# Behaviours",
        "",
        "What every release of erlmcp is tested for, beyond the official conformance suite. Written by",
        "`python erlmcp/tests/behaviours/book.py` from `manifest.toml` beside it; a test holds both to what",
        "pytest really collects. A cell is a transport with an era; `any` where the era makes no difference.",
        "",
        f"{len(manifest)} behaviours in {sum(len(each.cells) for each in manifest)} cells.",
    ]
    area = ""
    for each in sorted(manifest, key=lambda each: each.id):
        if each.id.partition(".")[0] != area:
            area = each.id.partition(".")[0]
            lines += ["", f"## {area}", "", "| id | behaviour | source | cells |", "|---|---|---|---|"]
        cells = ", ".join("/".join(cell) for cell in sorted(each.cells))
        lines.append(f"| `{each.id}` | {each.says} | {each.source} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(read_manifest()))
