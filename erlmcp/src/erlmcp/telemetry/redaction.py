"""Takes out of a text what must not be in a log: credentials by their shape and by the names before them, and
the arguments of tools that the operator has declared.

Declared arguments are found twice: by their name wherever it stands before a value, and by their value while
the request that carries them is served. Every pattern begins where a word begins, so that no text makes it
look at the same characters again and again. It writes nothing: lines are ``erlmcp.telemetry.logs``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

MAX_TEXT = 8_192
"""Characters of one value; longer is cut, so that no line is unbounded."""

REDACTED: Final = "***"

_LOOKED_AT: Final = 4 * MAX_TEXT
"""Characters that are searched; what is taken out makes a text shorter, and it is cut afterwards."""
_SHORT: Final = 4
"""Characters of a declared value up to which only whole words are taken out."""
_MAX_KEY_LINES: Final = 100
"""Lines that are hidden after the first of a private key whose end does not come."""
_MAX_VALUES: Final = 256
_MAX_DEPTH: Final = 32

_SECRET_NAME = re.compile(
    r"(?i)(^|[._-])(authorization|cookie|set-cookie|mcp-session-id|session[_-]?id|password|passwd|passphrase"
    r"|secret|token|credentials?|(?:api|private|access|session|secret)[_-]?keys?)$"
)
_SECRET_FIELD = re.compile(
    r"(?i)(?<![\w-])(proxy-authorization|authorization|set-cookie|cookie|mcp-session-id)"
    r"(\\*[\"']?\s*[:=]\s*)[^\r\n]+"
)
_VALUE: Final = r"(\\*[\"']?\s*[:=]\s*)(?:\\*\"[^\"]*\"|\\*'[^']*'|[^\s,;&}\])]+)"
_SECRET_PAIR = re.compile(
    r"(?i)(?<![\w-])([\w-]*(?:password|passwd|passphrase|secret|token|credentials?"
    r"|(?:api|private|access|session|secret)[_-]?key))" + _VALUE
)
_SECRET_SHAPE = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
    r"|(?i:(?<![\w-])(?:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|(?<![\w-])(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*(?:\.[\w-]+\.[\w-]+)?"
    r"|(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![\w-])|AIza[\w-]{30,}"
    r"|(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[A-Za-z0-9_-]{40,})"
    r"|hooks\.slack\.com/services/[\w/]+"
    r"|^(?![0-9a-f]+$)[A-Za-z0-9+/]{60,76}={0,2}$",  # a line of a key, when its lines come one by one
    re.DOTALL | re.MULTILINE,
)
_URL_PASSWORD = re.compile(r"(?<![\w+.-])([a-zA-Z][\w+.-]*://[^\s:/@]*:)[^\s@/]+@")
_ARGUMENT_SHOWN = re.compile(r"\binput_value=.*?(, input_type=|$)", re.DOTALL)
"""How pydantic shows a value that it refuses; it may have shortened it."""


class Redaction:
    """What is taken out.

    Args:
        fields: names of tool arguments whose values must not be logged, at any depth.
    """

    def __init__(self, fields: Iterable[str] = ()) -> None:
        self._fields = frozenset(name.casefold() for name in fields if name)
        names = "|".join(re.escape(name) for name in sorted(self._fields))
        self._pair = re.compile(rf"(?i)(?<![\w-])({names}){_VALUE}") if names else None

    def text(self, text: str, values: Sequence[re.Pattern[str]] = ()) -> str:
        """The text without what looks like a credential, and without these values.

        Args:
            values: as ``values_in`` found them.
        """
        text = text[:_LOOKED_AT]
        for value in values:
            text = value.sub(REDACTED, text)
        text = _SECRET_SHAPE.sub(REDACTED, text)
        text = _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)
        text = _SECRET_FIELD.sub(rf"\1\2{REDACTED}", text)
        text = _SECRET_PAIR.sub(rf"\1\2{REDACTED}", text)
        if self._pair is not None:
            text = self._pair.sub(rf"\1\2{REDACTED}", text)
            text = _ARGUMENT_SHOWN.sub(rf"input_value={REDACTED}\1", text)
        return text

    def end_of(self, text: str, values: Sequence[re.Pattern[str]] = ()) -> str:
        """As ``text``, of the end of a text that is too long: where a traceback says what went wrong."""
        return self.text(text[-_LOOKED_AT:], values)[-MAX_TEXT:]

    def hides(self, name: str) -> bool:
        """Whether what has this name is hidden, whatever it holds."""
        return _SECRET_NAME.search(name) is not None or name.casefold() in self._fields

    def clean(self, value: Any, values: Sequence[re.Pattern[str]] = (), depth: int = 0) -> Any:
        """A value of a field, without secrets at any depth."""
        if isinstance(value, str):
            return self.text(value, values)[:MAX_TEXT]
        if value is None or isinstance(value, bool | int | float):
            return REDACTED if values and any(each.fullmatch(str(value)) for each in values) else value
        if depth >= _MAX_DEPTH:
            return "…"
        if isinstance(value, dict):
            pairs = ((str(key), inner) for key, inner in value.items())
            return {
                self.text(key): REDACTED if self.hides(key) else self.clean(inner, values, depth + 1)
                for key, inner in pairs
            }
        if isinstance(value, list | tuple):
            return [self.clean(inner, values, depth + 1) for inner in value]
        try:
            return self.text(str(value), values)[:MAX_TEXT]
        except Exception:  # noqa: BLE001 - an object of a guest may raise anything when asked for its text
            return f"<{type(value).__name__}>"

    def values_in(self, sent: Any) -> list[re.Pattern[str]]:
        """The values of declared arguments in a message as it was sent: JSON, or what was in it."""
        if not self._fields or not sent:
            return []
        if isinstance(sent, bytes | bytearray | memoryview):
            sent = bytes(sent)
            try:
                sent = json.loads(sent)
            except (ValueError, RecursionError):
                return []
        found = dict.fromkeys(str(value) for value in self._declared(sent, 0, within=False))
        return [_pattern_of(value) for value in list(found)[:_MAX_VALUES] if value.strip()]

    def _declared(self, value: Any, depth: int, *, within: bool) -> Iterator[str | int | float]:
        if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
            return
        if isinstance(value, Mapping):
            for name, inner in value.items():
                hidden = within or str(name).casefold() in self._fields
                yield from self._declared(inner, depth + 1, within=hidden)
        elif isinstance(value, list):
            for inner in value:
                yield from self._declared(inner, depth + 1, within=within)
        elif within:
            yield value


class OutputRedaction:
    """As ``Redaction``, for text that comes line by line: a private key is spread over several."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._hidden_left = 0

    def line(self, line: str) -> str:
        """The line without secrets."""
        if self._hidden_left:
            self._hidden_left = 0 if "-----END" in line else self._hidden_left - 1
            return REDACTED
        if "PRIVATE KEY-----" in line and "-----END" not in line:
            self._hidden_left = _MAX_KEY_LINES
        return self._redaction.text(line)


def _pattern_of(value: str) -> re.Pattern[str]:
    """Finds a value as it is, and as JSON and Python write it."""
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    text = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{text})(?!\w)" if len(value) < _SHORT else text)


def printable(text: str) -> str:
    """One line for a terminal: whatever would move its cursor, or look like another line, is written out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


NOTHING_DECLARED: Final = Redaction()
redact: Final = NOTHING_DECLARED.text
