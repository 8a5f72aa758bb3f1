"""What an error must never show: patterns of internals. Pure. Not a check."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATTERNS = {
    "a stack trace": r"Traceback \(most recent call last\)|^\s+at [\w.$]+\(|File \"[^\"]+\", line \d+",
    "a source file": r"\b[\w/-]+\.(?:py|pyc|rb|js|java|go|erl|ex)\b(?::\d+)?",
    "a path of the host": r"(?<![\w./])/(?:home|usr|root|opt|var|etc|tmp|srv|proc|mnt|app)/[\w.-]+",
    "a version of a part": (
        r"(?i)\b(?:python|uvicorn|starlette|httptools|uvloop|nginx|pydantic|openssl|erlmcp)[/ ]v?\d+\.\d+"
    ),
    "SQL": (
        r"(?i)\b(?:select\s+.+\s+from|insert\s+into|update\s+\w+\s+set|delete\s+from)\b"
        r"|sqlite3?\.|psycopg|sqlalchemy"
    ),
    "an exception's name": r"\b[A-Z][a-zA-Z]+(?:Error|Exception)\b(?!\s*Response)",
    "an object of the program": r"<[\w.]+ object at 0x[0-9a-f]+>",
    "a name of the environment": r"\b(?:PYTHONPATH|VIRTUAL_ENV|DATABASE_URL|AWS_[A-Z_]+|SECRET_[A-Z_]+)\b",
}
_KNOWN = {what: re.compile(pattern, re.MULTILINE) for what, pattern in _PATTERNS.items()}


def leaks_in(text: str, *, names: Iterable[str] = ()) -> list[str]:
    """What ``text`` gives away, in words; ``names`` are environment variables that it must not name."""
    found = [what for what, pattern in _KNOWN.items() if pattern.search(text)]
    return found + [f"the variable {name}" for name in names if re.search(rf"\b{re.escape(name)}\b", text)]
