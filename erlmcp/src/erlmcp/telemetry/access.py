"""The access log: one line for each request, for a small part of what a line of the log costs.

A request is noted with its time and written a moment later, many with one ``write``. The lines are those that
``erlmcp.telemetry.logs`` would write. Where somebody has set up logging otherwise, they go through
``logging`` with the time at which they happened. A process that is killed loses the last ``DELAY_S``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from erlmcp.config.log_settings import LogSettings
from erlmcp.protocol.methods import METHODS
from erlmcp.telemetry.correlation import Correlation
from erlmcp.telemetry.log_writer import LogWriter
from erlmcp.telemetry.logs import DescriptorHandler, JsonLines, fields_of
from erlmcp.telemetry.redaction import redact

DELAY_S: Final = 0.05
_MAX_NOTED: Final = 16
"""Lines that are written together. The worker stands still meanwhile: with 16 about as long as a call takes.
With 128 one call in a hundred waited several times as long as the others."""

_PLAIN_ID: Final = re.compile(r"[0-9a-f-]{1,64}|[A-Za-z0-9.-]{1,15}")
"""An id of a request that cannot be a secret; to look for one takes longer than all else in a line."""

_Note = tuple[float, str, str, str, float, Correlation | None]


class AccessLog:
    """The access log of one worker, under the name of a logger."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        settings: LogSettings,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._share = settings.access_sample
        self._slow_s = settings.access_slow_s
        self._chance = chance
        self._logger = logging.getLogger(name)
        self._loop = loop
        self._noted: list[_Note] = []
        self._timer: asyncio.TimerHandle | None = None
        self._generation = ""
        self._texts: dict[tuple[str, str, str], str] = {}
        """What is the same in the lines of all requests of one kind."""
        self._second = 0
        self._second_text = ""

    def note(
        self, method: str, era: str, outcome: str, seconds: float, correlation: Correlation | None = None
    ) -> None:
        """One request has its answer. ``correlation`` is in the line if anybody else knows it."""
        if self._share < 1.0 and self._is_plain(outcome, seconds) and self._chance() >= self._share:
            return
        if not self._logger.isEnabledFor(logging.INFO):
            return
        noted = self._noted
        noted.append((time.time(), method, era, outcome, seconds, correlation))
        if self._timer is None:
            self._timer = self._loop.call_later(DELAY_S, self.flush)
        elif len(noted) >= _MAX_NOTED:
            self.flush()

    def _is_plain(self, outcome: str, seconds: float) -> bool:
        """Whether a request need not have a line: it went well, and was not slow."""
        return outcome == "ok" and seconds < self._slow_s

    def _sample(self, outcome: str, seconds: float) -> float:
        """For which share of such requests a line stands."""
        return self._share if self._is_plain(outcome, seconds) else 1.0

    def flush(self) -> None:
        """Write what was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        noted, self._noted = self._noted, []
        writer, generation = self._own_writer()
        if writer is None:
            for note in noted:
                self._logger.handle(self._record(note))
            return
        if generation != self._generation:
            self._generation, self._texts = generation, {}
        lines = [
            self._line(note, text) if (text := self._texts.get(note[1:4])) else self._first_line(note)
            for note in noted
        ]
        writer.write("".join(lines).encode())

    def _first_line(self, note: _Note) -> str:
        """A line of a kind that there was none of, or of a method that is not known."""
        if note[1] not in METHODS:
            return self._long_line(note)
        text = self._texts[note[1:4]] = self._text(note[1:4], self._generation)
        return self._line(note, text)

    def _text(self, kind: tuple[str, str, str], generation: str) -> str:
        """What is the same in the lines of all requests of one kind."""
        method, era, outcome = kind
        return (
            f'+00:00","level":"info","event":"request","logger":"{self._logger.name}","generation":"{generation}",'
            f'"pid":{os.getpid()},"method":"{method}","era":"{era}","outcome":"{outcome}"'
        )

    def _own_writer(self) -> tuple[LogWriter | None, str]:
        """Where lines go if the log is as ``logs.configure`` has left it, and the generation in them."""
        handlers = logging.getLogger().handlers
        if len(handlers) == 1 and type(handler := handlers[0]) is DescriptorHandler:
            formatter = handler.formatter
            plain = not self._logger.handlers and not self._logger.filters and not handler.filters
            if plain and type(formatter) is JsonLines and formatter.generation.isalnum():
                return handler.writer, formatter.generation
        return None, ""

    def _line(self, note: _Note, text: str) -> str:
        """A line of a method that is known, in which nothing needs to be escaped."""
        at, _, _, outcome, seconds, correlation = note
        second = int(at)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        rest = "" if correlation is None else _members(correlation)
        if self._share < 1.0:
            rest += f',"sample":{self._sample(outcome, seconds):g}'
        # The old way to format, since it takes half as long here as any other.
        return '{"ts":"%s.%03d%s,"duration_ms":%.3f%s}\n' % (  # noqa: UP031
            self._second_text,
            (at - second) * 1e3,
            text,
            seconds * 1e3,
            rest,
        )

    def _long_line(self, note: _Note) -> str:
        formatter = logging.getLogger().handlers[0].formatter
        assert formatter is not None, "found by _own_writer"
        return formatter.format(self._record(note)) + "\n"

    def _record(self, note: _Note) -> logging.LogRecord:
        at, method, era, outcome, seconds, correlation = note
        fields = {"method": method, "era": era, "outcome": outcome, "duration_ms": round(seconds * 1e3, 3)}
        if correlation is not None:
            fields |= fields_of(correlation)
        if self._share < 1.0:
            fields["sample"] = self._sample(outcome, seconds)
        record = logging.LogRecord(self._logger.name, logging.INFO, __file__, 0, "request", (), None)
        record.created = at
        record.__dict__["erlmcp_fields"] = fields
        return record


def _members(correlation: Correlation) -> str:
    """How a line tells which request it is about; neither value has a character that JSON would escape."""
    trace_id = correlation.trace_id
    known = correlation.request_id
    members = f',"request_id":"{known if _PLAIN_ID.fullmatch(known) else redact(known)}"'
    return f'{members},"trace_id":"{trace_id}"' if trace_id else members
