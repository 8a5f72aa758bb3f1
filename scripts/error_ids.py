"""Finds every error id that the two programs can raise, in their syntax trees.

An id is the first argument of a call to something that ends in ``Error`` (or of ``_refuse``, which sends
one over a wire), of ``super().__init__`` in such a class, or the ``id`` of a literal with a ``message``.
Used by the documentation's index and by the test that holds code and pages together.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "errors"
ERROR_ID = re.compile(r"[a-z]+(-[a-z]+)*(\.[a-z][a-z0-9-]*)?")
PROGRAMS = ("gonogo", "erlmcp")


def raised() -> dict[str, set[str]]:
    """Error id to the programs that raise it."""
    found: dict[str, set[str]] = {}
    for program in PROGRAMS:
        for path in sorted((ROOT / program / "src").rglob("*.py")):
            for error_id in ids_in(path.read_text("utf-8")):
                found.setdefault(error_id, set()).add(program)
    return dict(sorted(found.items()))


def ids_in(source: str) -> Iterator[str]:
    """Error ids in one module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _raises(node.func) and node.args:
            yield from _constant(node.args[0])
        elif isinstance(node, ast.Dict):
            literal = {
                key.value: value for key, value in zip(node.keys, node.values, strict=True) if _named(key)
            }
            if {"id", "message"} <= literal.keys():
                yield from _constant(literal["id"])


def index() -> str:
    """The page that lists all others."""
    lines = [
        "# Errors",
        "",
        "Every error has a stable id: `gonogo explain ID` shows its page in a terminal.",
        "",
    ]
    for error_id, programs in raised().items():
        page = PAGES / f"{error_id}.md"
        meaning = page.read_text("utf-8").splitlines()[2] if page.is_file() else "no page yet"
        lines.append(f"- [`{error_id}`]({error_id}.md) ({', '.join(sorted(programs))}): {meaning}")
    return "\n".join(lines) + "\n"


def _raises(callee: ast.expr) -> bool:
    if isinstance(callee, ast.Attribute):
        from_super = isinstance(callee.value, ast.Call) and getattr(callee.value.func, "id", "") == "super"
        return (
            callee.attr.endswith("Error")
            or callee.attr == "_refuse"
            or (callee.attr == "__init__" and from_super)
        )
    return isinstance(callee, ast.Name) and callee.id.endswith("Error")


def _named(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and isinstance(key.value, str)


def _constant(node: ast.expr) -> Iterator[str]:
    text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    if ERROR_ID.fullmatch(text) and ("." in text or text == "internal"):
        yield text


if __name__ == "__main__":
    (PAGES / "README.md").write_text(index(), "utf-8")
    missing = [error_id for error_id in raised() if not (PAGES / f"{error_id}.md").is_file()]
    sys.exit(f"without a page: {', '.join(missing)}" if missing else 0)
