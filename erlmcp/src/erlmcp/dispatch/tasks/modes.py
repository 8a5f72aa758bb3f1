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
from erlmcp.sessions.bus import TOOLS, Bus, BusEvent

logger = logging.getLogger(__name__)

META_KEY: Final = "erlmcp/task"
KEPT_S: Final = 10.0
"""How long an answer of a guest that must be asked is kept, unless it says that its tools have changed."""
MAX_KEPT: Final = 4_096
MAX_PAGES: Final = 100

Mode = Literal["never", "optional", "required"]
ListPage = Callable[[str | None], Awaitable[dict[str, Any]]]
_WORDS: Final[dict[object, Mode]] = {"optional": "optional", "required": "required"}


class TaskModes:
    """Finds the mode by the tool's name. ``clock`` gives seconds of any epoch."""

    def __init__(self, guest: Guest, bus: Bus, clock: Callable[[], float]) -> None:
        self._guest = guest
        self._clock = clock
        self._kept: dict[str, tuple[Mode, float]] = {}
        self._listed_until = 0.0
        self._unsubscribe = bus.subscribe(self._hear)

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
        kept = self._kept.get(name)
        if kept is not None and self._clock() < kept[1]:
            return kept[0]
        try:
            lookup = getattr(self._guest.found, "get_tool", None)
            if lookup is not None:
                return await self._asked(name, lookup)
            return await self._listed(name, list_page)
        except Exception:
            logger.exception("the guest cannot tell whether %r runs as a task", name)
            return "never"

    async def _asked(self, name: str, lookup: Callable[[str], Awaitable[Any]]) -> Mode:
        """Of a FastMCP. A tool that it does not show to this caller is not remembered."""
        tool = await lookup(name)
        if tool is None:
            return "never"
        mode = _mode_in(tool.meta)
        if mode == "never":
            mode = _WORDS.get(getattr(getattr(tool, "task_config", None), "mode", None), "never")
        self._keep(name, mode)
        return mode

    async def _listed(self, name: str, list_page: ListPage) -> Mode:
        """Of a low-level server, which has no table to look into."""
        if self._clock() >= self._listed_until:
            self._listed_until = self._clock() + KEPT_S
            cursor: str | None = None
            for _ in range(MAX_PAGES):
                page = await list_page(cursor)
                for tool in page.get("tools", ()):
                    self._keep(tool["name"], _mode_in(tool.get("_meta")))
                cursor = page.get("nextCursor")
                if not isinstance(cursor, str):
                    break
        kept = self._kept.get(name)
        return "never" if kept is None else kept[0]

    def close(self) -> None:
        """Hear no more changes."""
        self._unsubscribe()

    def _keep(self, name: str, mode: Mode) -> None:
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[name] = (mode, self._clock() + KEPT_S)

    def _hear(self, event: BusEvent) -> None:
        if event.kind == TOOLS:
            self._kept.clear()
            self._listed_until = 0.0


def _mode_in(meta: Any) -> Mode:
    return _WORDS.get(meta.get(META_KEY), "never") if isinstance(meta, Mapping) else "never"
