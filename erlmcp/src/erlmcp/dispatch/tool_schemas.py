"""Input schemas of tools, for the headers that mirror their arguments.

A guest that can look a schema up by name is asked each time. Any other is asked for its list of tools through
the kernel, as a client would, and the answer is kept until the guest says that its tools have changed, or for
a few seconds. When a guest cannot tell, headers go unchecked: a check must not break calls that work.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.shared.inbound import x_mcp_header_map

from erlmcp.dispatch.guest import Guest
from erlmcp.sessions.bus import TOOLS, Bus, BusEvent

logger = logging.getLogger(__name__)

KEPT_S: Final = 10.0
MAX_PAGES: Final = 100
_MAX_JUDGED: Final = 4_096

ListPage = Callable[[str | None], Awaitable[dict[str, Any]]]


class ToolSchemas:
    """Finds schemas by the tool's name. ``clock`` gives seconds of any epoch."""

    def __init__(self, guest: Guest, bus: Bus, clock: Callable[[], float]) -> None:
        self._guest = guest
        self._clock = clock
        self._kept: dict[str, Any] = {}
        self._kept_until = 0.0
        self._judged: dict[str, tuple[Any, bool]] = {}
        self._unsubscribe = bus.subscribe(self._hear)

    async def find(self, name: str, list_page: ListPage) -> Any:
        """The schema of a tool whose arguments are mirrored in headers; None for any other tool.

        Args:
            name: of the tool.
            list_page: asks the guest for one page of its tools, by cursor.
        """
        lookup = self._guest.server.get_tool_input_schema
        try:
            if lookup is not None:
                return self._mirrored(name, lookup(name))
            if self._clock() >= self._kept_until:
                self._kept = await _all_schemas(list_page)
                self._kept_until = self._clock() + KEPT_S
        except Exception:
            logger.exception("the guest cannot tell the schemas of its tools; headers go unchecked")
            return None
        return self._mirrored(name, self._kept.get(name))

    def _mirrored(self, name: str, schema: Any) -> Any:
        """The schema if it has mirrored arguments. Walking it is dear, so the finding is remembered."""
        judged = self._judged.get(name)
        if judged is None or judged[0] is not schema:
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            judged = self._judged[name] = (schema, bool(x_mcp_header_map(schema)))
        return schema if judged[1] else None

    def close(self) -> None:
        """Hear no more changes."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == TOOLS:
            self._kept_until = 0.0


async def _all_schemas(list_page: ListPage) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await list_page(cursor)
        schemas.update((tool.get("name"), tool.get("inputSchema")) for tool in page.get("tools", ()))
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):
            break
    return schemas
