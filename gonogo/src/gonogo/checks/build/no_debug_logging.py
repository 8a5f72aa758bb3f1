"""Shipped source has no debug output, no breakpoints and no marker without an issue."""

from __future__ import annotations

import ast
import asyncio
import io
import re
import tokenize
from collections.abc import Iterator, Sequence

from gonogo.checks.build.tree import shipped_python
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

MAX_HITS = 200
_DEBUGGERS = frozenset({"pdb", "ipdb", "pudb", "pdbpp", "bdb", "icecream"})
_RAW_WRITES = frozenset({"sys.stderr.write", "sys.stdout.write", "sys.__stderr__.write"})
_MARKER = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b(?!\s*[(\[:]?\s*\(?(?:#\d+|[A-Z]+-\d+|https?://))"
)  # an issue id follows
_ALLOWED = re.compile(r"#\s*noqa: [A-Z0-9, ]+ - \S")


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Read every shipped Python file."""
    files = await asyncio.to_thread(shipped_python, ctx)
    hits = [hit for path, text in files for hit in debug_marks(path, text)]
    return [
        json_reading("source scan", {"files": len(files), "hits": hits[:MAX_HITS], "hits_in_all": len(hits)})
    ]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """Nothing of that kind in shipped code."""
    facts = facts_of(readings)
    if not facts["hits"]:
        return Ruling(Answer.PASS, "shipped source", f"0 debug marks in {facts['files']} shipped files")
    path, line, what = facts["hits"][0]
    return Ruling(
        Answer.FAIL,
        f"{path}:{line}",
        f"{facts['hits_in_all']} debug marks in shipped code; expected 0; first: {what} at {path}:{line}",
        "remove it, or use logging; a print that is the program's result takes `# noqa: T201 - REASON`",
    )


def debug_marks(path: str, text: str) -> Iterator[tuple[str, int, str]]:
    """Path, line and name of every mark in one Python file.

    Raises:
        SyntaxError: it is not Python.
    """
    lines = text.splitlines()
    tree = ast.parse(text, filename=path)
    for node in ast.walk(tree):
        what = _mark_of(node)
        line = getattr(node, "lineno", 1)
        if what and not _ALLOWED.search(lines[line - 1]):
            yield path, line, what
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and (found := _MARKER.search(token.string)):
            yield path, token.start[0], f"{found[1]} without an issue id"


def _mark_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import):
        return next((f"import of {a.name}" for a in node.names if a.name.split(".")[0] in _DEBUGGERS), None)
    if isinstance(node, ast.ImportFrom):
        return f"import of {node.module}" if (node.module or "").split(".")[0] in _DEBUGGERS else None
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name in {"print", "breakpoint"} or name.endswith(".set_trace"):
        return f"{name}()"
    if name in _RAW_WRITES:
        return f"{name}()"
    debug_level = name.endswith("basicConfig") and any(
        keyword.arg == "level" and ast.unparse(keyword.value).endswith("DEBUG") for keyword in node.keywords
    )
    return "logging at DEBUG" if debug_level else None


CHECK = Check(
    id="build.no-debug-logging",
    boxes=("build.no-debug-logging",),
    needs=frozenset({"git"}),
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
