"""Shipped files contain no code that was switched off by turning it into a comment."""

from __future__ import annotations

import ast
import asyncio
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator, Sequence

from gonogo.checks.build.tree import shipped_python
from gonogo.checks.check import Check, Ruling
from gonogo.checks.context import CheckContext
from gonogo.checks.readings import facts_of, json_reading
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

MIN_STATEMENTS = 2
_ALLOWED = re.compile(r"kept as code: \S")
_CODE = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Return,
    ast.Import,
    ast.ImportFrom,
    ast.If,
    ast.For,
    ast.While,
    ast.With,
    ast.Try,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Raise,
    ast.Delete,
    ast.Assert,
)  # fmt: skip - one list


async def probe(ctx: CheckContext) -> Sequence[Reading]:
    """Read every shipped Python file; that is at least every changed one."""
    files = await asyncio.to_thread(shipped_python, ctx)
    blocks = [(path, line, snippet) for path, text in files for line, snippet in disabled_code(text)]
    return [json_reading("comment scan", {"files": len(files), "blocks": blocks})]


def judge(readings: Sequence[Reading], _ctx: CheckContext) -> Ruling:
    """No comment block parses as two or more statements."""
    facts = facts_of(readings)
    if not facts["blocks"]:
        return Ruling(
            Answer.PASS, "shipped source", f"0 blocks of disabled code in {facts['files']} shipped files"
        )
    path, line, _ = facts["blocks"][0]
    return Ruling(
        Answer.FAIL,
        f"{path}:{line}",
        f"{len(facts['blocks'])} comment blocks are disabled code; expected 0; first at {path}:{line}",
        "delete it, git remembers; if it explains something, write `kept as code: REASON` in it",
    )


def disabled_code(text: str) -> Iterator[tuple[int, str]]:
    """First line and beginning of each block of comment lines that is code.

    Raises:
        SyntaxError: ``text`` is not Python.
    """
    for first, lines in _comment_blocks(text):
        source = textwrap.dedent("\n".join(line.lstrip("#").removesuffix(" ") for line in lines))
        if not _ALLOWED.search(source) and _statements(source) >= MIN_STATEMENTS:
            yield first, source[:200]


def _comment_blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or token.line[: token.start[1]].strip():
            continue
        if block and token.start[0] != last + 1:
            yield first, block
            block = []
        if not block:
            first = token.start[0]
        last = token.start[0]
        block.append(token.string)
    if block:
        yield first, block


def _statements(source: str) -> int:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return 0
    return sum(_is_code(node) for node in tree.body)


def _is_code(node: ast.stmt) -> bool:
    return isinstance(node, _CODE) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    )


CHECK = Check(
    id="build.no-commented-code",
    boxes=("build.no-commented-code",),
    needs=frozenset({"git"}),
    valid_s=7 * 86_400.0,
    probe=probe,
    judge=judge,
)
