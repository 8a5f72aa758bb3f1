"""Finds secrets in text: known token formats, and values of high entropy behind telling names.

Pure. Findings are redacted at once; a whole secret is never kept. A line may carry ``not-a-secret: REASON``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VERSION = "1"
MIN_ENTROPY_BITS = 3.3
MIN_LENGTH = 16
_FORMATS = {
    "AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})",
    "GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "Slack webhook": r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}",
    "Google API key": r"\bAIza[0-9A-Za-z_-]{35}",
    "Stripe key": r"\b[rs]k_live_[0-9A-Za-z]{20,}",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "PyPI token": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "API key": r"\bsk-(?:[a-z]+-)?[A-Za-z0-9_-]{32,}",
    "JSON web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{16,}",
    "password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@{}<>$\"']+:[^\s/@{}<>$\"']{6,}@[\w.-]+",
}
_KNOWN = [(kind, re.compile(pattern)) for kind, pattern in _FORMATS.items()]
_NAMED = re.compile(
    r"""(?ix)
        [\w.-]* (?:password|passwd|secret|token|api_?key|access_?key|private_?key|credential) [\w.-]* ["']?
        \s* (?:=|:|=>) \s* ["'] (?P<value>[^"'\s]{8,}) ["']"""
)
_ALLOWED = re.compile(r"not-a-secret: \S")
_PLAIN_PASSWORDS = ("password", "example", "changeme", "secret", "placeholder")


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret's place and kind; ``shown`` holds at most its first four characters."""

    path: str
    line: int
    kind: str
    shown: str


def scan(texts: Iterable[tuple[str, str]]) -> Iterator[Hit]:
    """Every secret in pairs of path and text."""
    for path, text in texts:
        yield from scan_text(path, text)


def scan_text(path: str, text: str) -> list[Hit]:
    """Every secret in one text, at most one of each kind a line."""
    lines = text.split("\n")
    hits = []
    for kind, pattern in _KNOWN:
        for found in pattern.finditer(text):
            number = text.count("\n", 0, found.start()) + 1
            if kind == "password in an address" and any(w in found[0].lower() for w in _PLAIN_PASSWORDS):
                continue
            if not _ALLOWED.search(lines[number - 1]):
                hits.append(Hit(path, number, kind, _redacted(found[0])))
    for number, line in enumerate(lines, 1):
        if len(line) > 4096 or _ALLOWED.search(line) or any(hit.line == number for hit in hits):
            continue
        hits += [
            Hit(path, number, "value of high entropy", _redacted(found["value"]))
            for found in _NAMED.finditer(line)
            if looks_random(found["value"])
        ]
    return sorted(hits, key=lambda hit: (hit.line, hit.kind))


def looks_random(value: str) -> bool:
    """Whether a value is long, of mixed characters and high entropy, so that a person hardly chose it."""
    if len(value) < MIN_LENGTH or re.fullmatch(r"[a-z]+(?:[-_. /:][a-z]+)*", value, re.IGNORECASE):
        return False
    if not (any(c.isdigit() for c in value) and any(c.isalpha() for c in value)):
        return False
    if re.search(r"[{}<>$()]|\.\.\.|://", value):  # a placeholder, an expression or an address
        return False
    return entropy_bits(value) >= MIN_ENTROPY_BITS


def entropy_bits(value: str) -> float:
    """Shannon entropy of the characters, bits each."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def _redacted(secret: str) -> str:
    return secret[:4] + "*" * 8
