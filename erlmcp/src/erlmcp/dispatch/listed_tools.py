"""The tools of a guest that has no table to look into: asked for through the kernel, as a client would.

The answer is kept until the guest says that its tools have changed, or for a few seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from erlmcp.sessions.bus import TOOLS, Bus, BusEvent

KEPT_S: Final = 10.0
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
        """The tool as it is listed. Raises whatever the guest raises.

        Args:
            name: of the tool.
            list_page: asks the guest for one page of its tools, by cursor.
        """
        if self._clock() >= self._kept_until:
            self._kept = await _all_tools(list_page)
            self._kept_until = self._clock() + KEPT_S
        return self._kept.get(name)

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
