"""Functions stay within 70 lines and files within 400, unless the reason stands on the line.

The exception is a comment ``# size: <reason>`` on the line of ``def`` (function) or on the first line (file).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400
FOLDERS = ("erlmcp", "gonogo", "examples", "demo", "tests", "benchmarks", "conformance", "fuzz", "scripts")


def _python_files() -> list[Path]:
    return sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))


def oversized(source: str) -> list[str]:
    """Name every function and file in ``source`` that is too long without a reason."""
    lines = source.splitlines()
    found = []
    if len(lines) > MAX_FILE_LINES and "# size: " not in lines[0]:
        found.append(f"file has {len(lines)} lines")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES and "# size: " not in lines[node.lineno - 1]:
                found.append(f"{node.name} at line {node.lineno} has {length} lines")
    return found


def test_no_file_or_function_is_longer_than_its_limit():
    found = [f"{p.relative_to(ROOT)}: {what}" for p in _python_files() for what in oversized(p.read_text())]
    assert not found, "\n".join(found)


def test_a_function_one_line_over_the_limit_is_named():
    body = "".join(f"    x = {n}\n" for n in range(MAX_FUNCTION_LINES))
    assert oversized(f"def long():\n{body}") == ["long at line 1 has 71 lines"]


def test_a_file_one_line_over_the_limit_is_named():
    assert oversized("x = 1\n" * (MAX_FILE_LINES + 1)) == ["file has 401 lines"]


@pytest.mark.parametrize("lines", [MAX_FILE_LINES])
def test_a_file_at_the_limit_passes(lines):
    assert oversized("x = 1\n" * lines) == []
