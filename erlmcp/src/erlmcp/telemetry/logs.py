"""The log of a running service: one JSON object on one line for each event, with secrets taken out.

Every process of the tree writes the same form, through the standard ``logging`` module, so that what a
guest logs is in it too. It does not rotate files and it is not the access path: a request is counted by
``erlmcp.telemetry.meter``, and written here only when ``log.access`` asks for it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from erlmcp.telemetry.correlation import CURRENT, Correlation

MAX_TEXT = 8_192
"""Characters of one value; longer is cut, so that no line is unbounded."""

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

REDACTED = "***"

_SECRET_NAME = re.compile(
    r"(?i)(^|[._-])(authorization|cookie|set-cookie|mcp-session-id|session[_-]?id|password|passwd|secret"
    r"|token|credentials?|api[_-]?keys?|private[_-]?key|session[_-]?keys?)$"
)
_SECRET_PAIR = re.compile(
    r"(?i)\b(authorization|proxy-authorization|set-cookie|cookie|mcp-session-id)([\"']?\s*[:=]\s*)[^\r\n]+"
    r"|(?i:\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|private[_-]?key))([\"']?\s*[:=]\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&}]+))"
)
_SECRET_SHAPE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?i:\b(?:bearer|basic)\s+[\w.~+/=-]{8,})"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|\b(?:sk|pk|rk)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    re.DOTALL,
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+@")


def redact(text: str) -> str:
    """The text without what looks like a credential."""
    text = _SECRET_SHAPE.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)
    return _SECRET_PAIR.sub(
        lambda found: f"{found[1] or found[3]}{found[2] or found[4]}{REDACTED}",
        text,
    )


class Log:
    """Where one part of the program writes its events."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        """What only a developer wants to know."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What an operator wants to find later."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What mended itself and should not happen often."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What somebody must look at."""
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the traceback of the exception being handled."""
        self._write(logging.ERROR, event, fields, with_traceback=True)

    def _write(self, level: int, event: str, fields: dict[str, Any], *, with_traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=with_traceback, extra={"erlmcp_fields": fields})


class JsonLines(logging.Formatter):
    """Formats a record as one JSON line; newlines and control characters are escaped by JSON."""

    def __init__(self, generation: str) -> None:
        super().__init__()
        self.generation = generation
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end; never raises for a value that is not JSON."""
        fields = dict(getattr(record, "erlmcp_fields", {}))
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": redact(_message(record))[:MAX_TEXT],
            "logger": record.name,
            "generation": fields.pop("generation", self.generation),
            "pid": self._pid,
        }
        current = CURRENT.get()
        if current is not None:
            fields = {**fields_of(current.correlation), **fields}
        for name, value in fields.items():
            line.setdefault(name, REDACTED if _SECRET_NAME.search(name) else _clean(value))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = redact(self.formatException(record.exc_info))[-MAX_TEXT:]
        return json.dumps(line, ensure_ascii=True, default=_as_text)


def fields_of(correlation: Correlation) -> dict[str, Any]:
    """How a line tells which request it is about."""
    fields = {"request_id": correlation.request_id}
    trace_id = correlation.trace_id
    return {**fields, "trace_id": trace_id} if trace_id else fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)[:MAX_TEXT]
    if isinstance(value, dict):
        return {
            str(key): REDACTED if _SECRET_NAME.search(str(key)) else _clean(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value


def _as_text(value: Any) -> str:
    return redact(str(value))[:MAX_TEXT]


class DescriptorHandler(logging.Handler):
    """Writes each line with one ``write`` call, so that lines of several processes never mix.

    A reader that is gone (a closed pipe, a full disk) loses lines; it never stops the service.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        write_line(self.descriptor, self.format(record))


def write_line(descriptor: int, line: str) -> None:
    """Append one line to a descriptor; a reader that is gone is ignored."""
    write_bytes(descriptor, line.encode("utf-8", "replace") + b"\n")


def write_bytes(descriptor: int, data: bytes) -> None:
    """Append whole lines to a descriptor; a reader that is gone is ignored."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        return


def open_log_file(file: str) -> int:
    """Open a log for appending, readable by its owner and group only.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(Path(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def configure(*, level: str, descriptor: int, generation: str = "") -> None:
    """Send every record of this process to one descriptor; replaces what was set before."""
    handler = DescriptorHandler(descriptor)
    handler.setFormatter(JsonLines(generation))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    set_level(level)


def set_level(level: str) -> None:
    """Change the least severe level that is written, at once, for the whole process."""
    logging.getLogger().setLevel(LEVELS[level])
