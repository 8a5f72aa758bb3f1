"""Errors that a person is meant to read.

An error has a stable id (documented under ``docs/errors/``), says what is wrong with what was
got and expected, and keeps the hint apart from the headline.
"""

from __future__ import annotations


class GonogoError(Exception):
    """Something a person can mend.

    Args:
        error_id: stable id such as ``config.unknown-key``; ``gonogo explain ID`` tells more.
        message: one lower-case sentence without a full stop: what is wrong, what was got and expected.
        hint: the one command or sentence that mends it.
        note: context, when it helps.
        exit_code: 1 for NO-GO or failed, 2 for usage or internal, 3 for HOLD.
    """

    def __init__(
        self,
        error_id: str,
        message: str,
        *,
        hint: str | None = None,
        note: str | None = None,
        exit_code: int = 2,
    ) -> None:
        super().__init__(message)
        self.error_id = error_id
        self.message = message
        self.hint = hint
        self.note = note
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"error[{self.error_id}]: {self.message}"
