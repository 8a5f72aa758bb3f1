"""Which tools run as tasks: what their authors said of them.

A tool says it in its ``_meta``: ``{"erlmcp/task": "optional"}`` or ``"required"``. A FastMCP tool may also
say it in FastMCP's own way, ``task=True`` or a ``TaskConfig``. Any other tool never becomes a task.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.listed_tools import KEPT_S, ListedTools, ListPage

logger = logging.getLogger(__name__)

META_KEY: Final = "erlmcp/task"
MAX_KEPT: Final = 4_096
"""Modes of tools of a FastMCP that are remembered for a few seconds."""

Mode = Literal["never", "optional", "required"]
_WORDS: Final[dict[object, Mode]] = {"optional": "optional", "required": "required"}


class TaskModes:
    """Finds the mode by the tool's name. ``clock`` gives seconds of any epoch."""

    def __init__(self, guest: Guest, listed: ListedTools, clock: Callable[[], float]) -> None:
        self._guest = guest
        self._listed = listed
        self._clock = clock
        self._kept: dict[str, tuple[Mode, float]] = {}

    async def find(self, name: Any, list_page: ListPage) -> Mode:
        """The mode of a tool; ``never`` when the guest cannot tell, since a call must not fail for that.

        Args:
            name: of the tool, as it came.
            list_page: asks the guest for one page of its tools, by cursor.
        """
        if not isinstance(name, str):
            return "never"
        tools = sdk_private.tools_of_mcpserver(self._guest.found)
        if tools is not None:
            tool = tools.get(name)
            return "never" if tool is None else _mode_in(tool.meta)
        lookup = getattr(self._guest.found, "get_tool", None)
        if lookup is None:
            listed = await self._listed.find(name, list_page)
            return "never" if listed is None else _mode_in(listed.get("_meta"))
        try:
            return await self._asked(name, lookup)
        except Exception:
            logger.exception("the guest cannot tell whether %r runs as a task", name)
            return "never"

    async def _asked(self, name: str, lookup: Callable[[str], Awaitable[Any]]) -> Mode:
        """Of a FastMCP. A tool that it does not show to this caller is not remembered."""
        kept = self._kept.get(name)
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        tool = await lookup(name)
        if tool is None:
            return "never"
        mode = _mode_in(tool.meta)
        if mode == "never":
            mode = _WORDS.get(getattr(getattr(tool, "task_config", None), "mode", None), "never")
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[name] = (mode, self._clock() + KEPT_S)
        return mode


def _mode_in(meta: Any) -> Mode:
    return _WORDS.get(meta.get(META_KEY), "never") if isinstance(meta, Mapping) else "never"
