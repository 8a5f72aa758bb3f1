"""The tools of a guest that has no table to look into: asked for through the kernel, as a client would.

The answer is kept until the guest says that its tools have changed, or for a few seconds. A guest that cannot
answer has no tools here for a moment: a look at the list must not break or slow the calls that work.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND

from erlmcp.sessions.bus import TOOLS, Bus, BusEvent

logger = logging.getLogger(__name__)

KEPT_S: Final = 10.0
FAILED_S: Final = 1.0
"""After a failure the guest is left in peace for so long."""
MAX_PAGES: Final = 100

ListPage = Callable[[str | None], Awaitable[dict[str, Any]]]


class ListedTools:
    """Finds tools by their names. ``clock`` gives seconds of any epoch."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[str, dict[str, Any]] = {}
        self._kept_until = 0.0
        self._unsubscribe = bus.subscribe(self._hear)

    async def find(self, name: str, list_page: ListPage) -> dict[str, Any] | None:
        """The tool as it is listed.

        Args:
            name: of the tool.
            list_page: asks the guest for one page of its tools, by cursor.
        """
        if self._clock() >= self._kept_until:
            await self._ask(list_page)
        return self._kept.get(name)

    async def _ask(self, list_page: ListPage) -> None:
        kept_s = KEPT_S
        try:
            self._kept = await _all_tools(list_page)
        except Exception as fault:
            self._kept = {}
            if not isinstance(fault, MCPError) or fault.error.code != METHOD_NOT_FOUND:
                kept_s = FAILED_S
                logger.exception("the guest cannot list its tools; their headers and tasks go unchecked")
        self._kept_until = self._clock() + kept_s

    def close(self) -> None:
        """Hear no more changes."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == TOOLS:
            self._kept_until = 0.0


async def _all_tools(list_page: ListPage) -> dict[str, dict[str, Any]]:
    tools: dict[str, dict[str, Any]] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await list_page(cursor)
        tools.update((str(tool.get("name")), tool) for tool in page.get("tools", ()))
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):
            break
    return tools
