"""Finds out, from another thread, which call the thread of the event loop is in.

Nothing is noted while requests are served: the frames of the thread say it. Where guests are called there are
a few functions of ours on the stack, and their locals name the method and the tool. A handler that goes on in
a task of its own has none of them above it; then the place in the guest's code is all there is to tell.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import erlmcp
from erlmcp.telemetry.loop_watch import UNKNOWN, LoopWatch, Running
from erlmcp.telemetry.meter import Meter

MAX_NAME: Final = 128
"""Characters of a name: clients may ask for tools that do not exist."""
_NAMED: Final = ("tools/call", "prompts/get")
_NOT_GUESTS: Final = frozenset(
    {"anyio", "fastmcp", "mcp", "mcp_types", "pydantic", "pydantic_core", "starlette", "uvloop"}
) | frozenset(sys.stdlib_module_names)
_OUR_FILES: Final = str(Path(erlmcp.__file__).parent)


def watch_loop(meter: Meter, *, warn_s: float, exit_s: float, on_stuck: Callable[[], None]) -> LoopWatch:
    """Watch the event loop that runs in this thread; the arguments are those of `LoopWatch`."""
    look = partial(what_runs, threading.get_ident())
    loop = asyncio.get_running_loop()
    watch = LoopWatch(loop, look, meter, warn_s=warn_s, exit_s=exit_s, on_stuck=on_stuck)
    watch.start()
    return watch


def what_runs(thread: int) -> Running:
    """What a thread is doing.

    Args:
        thread: its number, as ``threading.get_ident`` gives it: that of the event loop.
    """
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    stack = list(_outward(frames.get(thread)))
    if not stack:
        return UNKNOWN
    found, inner = _call_in(stack)
    place = _place(_guest_frame(inner) or inner[0])
    if found is None and _guest_frame(stack) is None:
        elsewhere = _in_threads(frames, thread)
        if elsewhere:
            return Running("thread", "", elsewhere, _place(stack[0]))
    method, name = found or ("unknown", "")
    return Running(method, name[:MAX_NAME], place, _place(stack[0]))


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _call_in(stack: list[FrameType]) -> tuple[tuple[str, str] | None, list[FrameType]]:
    """Method and name of the call, and the frames within it; all frames if there is none."""
    for number, frame in enumerate(stack):
        read = _READERS.get((str(frame.f_globals.get("__name__")), frame.f_code.co_qualname))
        if read is not None:
            return read(frame.f_locals), stack[: number or 1]
    return None, stack


def _of_tool(local: Mapping[str, Any]) -> tuple[str, str]:
    return "tools/call", str(local["self"].tool.name)


def _of_kernel(local: Mapping[str, Any]) -> tuple[str, str]:
    method, params = str(local["method"]), local["params"]
    name = params.get("name") if isinstance(params, dict) and method in _NAMED else None
    return method, name if isinstance(name, str) else ""


def _of_route(_local: Mapping[str, Any]) -> tuple[str, str]:
    return "http", ""


_READERS: Final[Mapping[tuple[str, str], Callable[[Mapping[str, Any]], tuple[str, str]]]] = {
    ("erlmcp.dispatch.compiled", "CompiledTool.call"): _of_tool,
    ("erlmcp.dispatch.compiled", "CompiledTool.call_now"): _of_tool,
    ("erlmcp.dispatch.compiled_fastmcp", "CompiledFastMCPTool.call"): _of_tool,
    ("erlmcp.dispatch.kernel", "Kernel.modern"): _of_kernel,
    ("erlmcp.dispatch.kernel", "Kernel.handshake"): _of_kernel,
    ("erlmcp.dispatch.kernel", "Kernel.notification"): _of_kernel,
    ("erlmcp.transports.asgi_guest", "GuestRoutes._run"): _of_route,
}
"""The functions that call a guest, and how their locals say what for. They are found by their names: some of
them are loaded only with their kind of guest. ``test_blocked_loops.py`` goes through each of them."""


def _guest_frame(stack: list[FrameType]) -> FrameType | None:
    """The innermost frame in code that is the guest's or its libraries'."""
    return next((frame for frame in stack if _is_guests(frame)), None)


def _is_guests(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package == "__main__":  # ours as a worker, or a script that is the guest
        return not frame.f_code.co_filename.startswith(_OUR_FILES)
    return package != "erlmcp" and package not in _NOT_GUESTS


def _in_threads(frames: Mapping[int, FrameType], loop_thread: int) -> str:
    """Where other threads are in the guest's code: one of them may hold the interpreter."""
    places = [
        _place(guests)
        for thread, frame in frames.items()
        if thread != loop_thread and (guests := _guest_frame(list(_outward(frame)))) is not None
    ]
    return "; ".join(places[:3])


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
