"""The error that a person is meant to read, for every part of erlmcp that a person operates.

It is not for protocol answers: what a client of the MCP endpoint gets is decided by
``erlmcp.protocol``. The CLI prints these, the control socket answers them as JSON.
"""

from __future__ import annotations


class ErlmcpError(Exception):
    """Something a person can mend.

    Args:
        error_id: stable id such as ``config.unknown-key``; each has a page under ``docs/errors/``.
        message: one lower-case sentence without a full stop: what is wrong, what was got and expected.
        hint: the one command or sentence that mends it; empty when there is none.
        exit_code: 1 when something failed, 2 for wrong usage.
        status: the HTTP status when it is answered over the control socket.
        log_tail: the last lines of the log of the process that failed.
    """

    def __init__(
        self,
        error_id: str,
        message: str,
        *,
        hint: str = "",
        exit_code: int = 2,
        status: int = 400,
        log_tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.error_id = error_id
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.status = status
        self.log_tail = log_tail

    def __str__(self) -> str:
        return f"error[{self.error_id}]: {self.message}"
