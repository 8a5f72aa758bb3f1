"""What an unruly guest does, by name; the guests beside this offer all of it as one tool each way."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from typing import Any

from mcp.shared.exceptions import MCPError
from pydantic import BaseModel


class Stop(BaseException):
    """Not an Exception, as pytest's and trio's own are not."""


class Loud(BaseModel):
    """A model whose value cannot be written."""

    text: str


class Unprintable(Exception):  # noqa: N818
    """Nobody can say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words for it")

    __repr__ = __str__


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


RAISED: dict[str, Any] = {
    "exception": lambda: RuntimeError("the password is swordfish"),
    "recursion": recurse,
    "memory": lambda: MemoryError("the password is swordfish"),
    "stop-iteration": lambda: StopIteration("the password is swordfish"),
    "group": lambda: ExceptionGroup("the password is swordfish", [ValueError("one"), KeyError("two")]),
    "unprintable": Unprintable,
    "surrogates": lambda: ValueError("half a character: \ud800"),
    "timeout": lambda: TimeoutError("the password is swordfish"),
    "connection": lambda: ConnectionResetError("the password is swordfish"),
    "broken-data": lambda: MCPError(-32000, "half a character: \ud800", {"set": {1, 2}}),
    "system-exit": lambda: SystemExit(5),
    "keyboard-interrupt": KeyboardInterrupt,
    "generator-exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "base-exception": lambda: Stop("the password is swordfish"),
    "base-group": lambda: BaseExceptionGroup("the password is swordfish", [Stop(), ValueError()]),
}
"""What a handler raises."""


def do_raise(kind: str) -> str:
    raised = RAISED[kind]()
    if isinstance(raised, BaseException):
        raise raised
    return str(raised)


def cycle() -> Any:
    inner: dict[str, Any] = {}
    inner["self"] = inner
    return inner


def deep() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


RETURNED: dict[str, Any] = {
    "nothing": lambda: None,
    "object": object,
    "set": lambda: {"a"},
    "nan": lambda: [float("nan"), float("inf")],
    "great-number": lambda: 2**70,
    "endless-number": lambda: 10**5_000,
    "cycle": cycle,
    "deep": deep,
    "surrogates": lambda: "half a character: \ud800",
    "surrogate-key": lambda: {"\ud800": 1},
    "bytes": lambda: b"\xff\xfe",
    "coroutine": lambda: asyncio.sleep(0),
    "generator": lambda: (number for number in range(3)),
    "class": lambda: Loud,
    "number-keys": lambda: {1: "one", None: "none"},
    "control-characters": lambda: "a\r\nb\0c\u2028d",
    "huge": lambda: "x" * (24 * 1024 * 1024),
}
"""What a handler returns though nobody should."""


def crash() -> None:
    """Make the interpreter read where it may not."""
    ctypes.string_at(8)


EXITS: dict[str, Any] = {
    "exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate-all": os.abort,
    "crash": crash,
}
"""How a handler ends its process."""
