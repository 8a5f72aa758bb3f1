"""The log of a running service: one JSON object on one line for each event, with secrets taken out.

Every process of the tree writes the same form, through the standard ``logging`` module, so that what a
guest logs is in it too. It does not rotate files and it is not the access path: a request is counted by
``erlmcp.telemetry.meter``, and written here only when ``log.access`` asks for it.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from erlmcp.config.log_settings import LogSettings
from erlmcp.telemetry.correlation import CURRENT, Correlation
from erlmcp.telemetry.log_writer import LogWriter
from erlmcp.telemetry.redaction import MAX_TEXT, NOTHING_DECLARED, REDACTED, Redaction

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

LAST_LINES_S: Final = 1.0
"""How long the last lines of a process may take to be read."""


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

    def __init__(self, generation: str, redaction: Redaction = NOTHING_DECLARED) -> None:
        super().__init__()
        self.generation = generation
        self._redaction = redaction
        self._pid = os.getpid()

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end; never raises for a value that is not JSON."""
        fields = dict(getattr(record, "erlmcp_fields", {}))
        redaction, current = self._redaction, CURRENT.get()
        values = redaction.values_in(current.sent) if current is not None else ()
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": redaction.text(_message(record), values)[:MAX_TEXT],
            "logger": redaction.text(record.name, values)[:MAX_TEXT],
            "generation": fields.pop("generation", self.generation),
            "pid": self._pid,
        }
        if current is not None:
            fields = {**fields_of(current.correlation), **fields}
        for name, value in fields.items():
            line.setdefault(name, REDACTED if redaction.hides(name) else redaction.clean(value, values))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = redaction.end_of(self.formatException(record.exc_info), values)
        return json.dumps(line, ensure_ascii=True)


def fields_of(correlation: Correlation) -> dict[str, Any]:
    """How a line tells which request it is about."""
    fields = {"request_id": correlation.request_id}
    trace_id = correlation.trace_id
    return {**fields, "trace_id": trace_id} if trace_id else fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - an argument of a guest may raise anything when asked for its text
        return str(record.msg)


class DescriptorHandler(logging.Handler):
    """Writes each record as a line. A slow reader loses lines in the end; it never stops the service."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.writer = LogWriter(descriptor, self._lost_line)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.writer.write_line(self.format(record))

    def flush(self) -> None:
        """Wait for a slow reader, but not for long: ``logging`` asks for it when the process ends."""
        self.writer.flush(LAST_LINES_S)

    def _lost_line(self, lines: int) -> bytes:
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, "log.lines-lost", None, None)
        record.erlmcp_fields = {"lines": lines}
        return (self.format(record) + "\n").encode()


def open_log_file(file: str) -> int:
    """Open a log for appending, readable by its owner and group only.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(Path(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def configure(settings: LogSettings, *, descriptor: int, generation: str = "") -> LogWriter:
    """Send every record of this process to one descriptor; replaces what was set before.

    Returns:
        what writes to it.
    """
    handler = DescriptorHandler(descriptor)
    handler.setFormatter(JsonLines(generation, Redaction(settings.redact_arguments)))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    set_level(settings.level)
    return handler.writer


def set_level(level: str) -> None:
    """Change the least severe level that is written, at once, for the whole process."""
    logging.getLogger().setLevel(LEVELS[level])
