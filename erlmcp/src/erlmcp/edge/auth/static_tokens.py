"""Bearer tokens for small set-ups: a file of their digests, each with a name and scopes.

A token is 256 random bits (``erlmcp token``), so its SHA-256 in a file gives nothing away. A digest is
compared with every line in constant time. When the file changes it is read again by the gate; a token whose
line is gone is refused from then on, and a file that is wrong changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
from pathlib import Path
from typing import Final

import msgspec

from erlmcp.config.errors import ErlmcpError

MAX_TOKENS: Final = 1_000
MAX_FILE_BYTES: Final = 1024 * 1024
PREFIX: Final = "erlmcp_"
"""So that scanners for leaked secrets can tell what they have found."""

_TOKEN_BYTES: Final = 32
_LINE: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._@-]{1,64}) sha256:(?P<digest>[0-9a-f]{64})"
    r"(?P<scopes>( [\x21\x23-\x5b\x5d-\x7e]+)*)"
)
_FORM: Final = "NAME sha256:64 hexadecimal digits, then scopes"
_NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class StaticToken(msgspec.Struct, frozen=True):
    """One line of the file: who has the token, its digest, what it is good for."""

    name: str
    digest: bytes
    scopes: frozenset[str]


class StaticTokens:
    """The tokens of one file."""

    def __init__(self, tokens: tuple[StaticToken, ...]) -> None:
        self._tokens = tokens

    def find(self, token: str) -> StaticToken | None:
        """The line of a token. It takes equally long for every token."""
        digest = hashlib.sha256(token.encode("ascii")).digest()
        found = None
        for each in self._tokens:
            if hmac.compare_digest(each.digest, digest):
                found = each
        return found

    def __contains__(self, token: StaticToken) -> bool:
        """Whether the line is still there as it was."""
        return token in self._tokens


def read(file: Path) -> StaticTokens:
    """The tokens of a file.

    Raises:
        ErlmcpError: auth.tokens-file, auth.bad-token-line.
    """
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
        text = data.decode("ascii")
    except (OSError, UnicodeDecodeError) as fault:
        raise _bad_file(f"{file}: {fault}", "a readable file of ASCII text") from fault
    if mode & 0o022:
        raise _bad_file(
            f"mode {mode:04o} of {file}", "one that only its owner can write", f"chmod 600 {file}"
        )
    if len(data) > MAX_FILE_BYTES:
        raise _bad_file(f"more than {MAX_FILE_BYTES} bytes in {file}", f"at most {MAX_TOKENS} lines")
    return StaticTokens(_parsed(text, file))


def _parsed(text: str, file: Path) -> tuple[StaticToken, ...]:
    found: list[StaticToken] = []
    seen: set[str | bytes] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        match = _LINE.fullmatch(" ".join(words))
        if match is None:
            raise _bad_line(file, number, "something else", _FORM)
        token = StaticToken(match["name"], bytes.fromhex(match["digest"]), frozenset(match["scopes"].split()))
        if token.name in seen or token.digest in seen:
            raise _bad_line(file, number, f"{token.name} or its digest twice", "each once")
        seen |= {token.name, token.digest}
        found.append(token)
    if len(found) > MAX_TOKENS:
        raise _bad_file(f"{len(found)} tokens in {file}", f"at most {MAX_TOKENS}")
    return tuple(found)


def new_token(name: str, scopes: tuple[str, ...]) -> tuple[str, str]:
    """A new token, and the line for the file.

    Raises:
        ErlmcpError: auth.bad-token-line.
    """
    if not _NAME.fullmatch(name) or not all(map(_SCOPE.fullmatch, scopes)):
        raise ErlmcpError(
            "auth.bad-token-line",
            f"the name or a scope cannot stand in the file of tokens, got {' '.join((name, *scopes))!r};"
            " expected a name of letters, digits, '.', '_', '@', '-' and scopes without blanks and quotes",
            hint="erlmcp token alice --scope notes:read",
        )
    token = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    digest = hashlib.sha256(token.encode("ascii")).hexdigest()
    return token, " ".join((name, f"sha256:{digest}", *scopes))


def _bad_file(
    got: str, expected: str, hint: str = "check auth.tokens_file and the rights on it"
) -> ErlmcpError:
    return ErlmcpError(
        "auth.tokens-file", f"the file of tokens cannot be used, got {got}; expected {expected}", hint=hint
    )


def _bad_line(file: Path, number: int, got: str, expected: str) -> ErlmcpError:
    """Says nothing of what stands there: somebody may have written a token instead of its digest."""
    return ErlmcpError(
        "auth.bad-token-line",
        f"line {number} of {file} is wrong, got {got}; expected {expected}",
        hint="erlmcp token NAME makes a token and prints its line",
    )
