"""Input schemas of tools, for the headers that mirror their arguments.

A guest that can look a schema up by name is asked each time, of any other the list of tools tells. When a
guest cannot tell, headers go unchecked: a check must not break calls that work.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from mcp.shared.inbound import x_mcp_header_map

from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.listed_tools import ListedTools, ListPage

logger = logging.getLogger(__name__)

_MAX_JUDGED: Final = 4_096


class ToolSchemas:
    """Finds schemas by the tool's name."""

    def __init__(self, guest: Guest, listed: ListedTools) -> None:
        self._guest = guest
        self._listed = listed
        self._judged: dict[str, tuple[Any, bool]] = {}

    async def find(self, name: str, list_page: ListPage) -> Any:
        """The schema of a tool whose arguments are mirrored in headers; None for any other tool.

        Args:
            name: of the tool.
            list_page: asks the guest for one page of its tools, by cursor.
        """
        lookup = self._guest.server.get_tool_input_schema
        if lookup is not None:
            try:
                return self._mirrored(name, lookup(name))
            except Exception:
                logger.exception("the guest cannot tell the schema of %r; its headers go unchecked", name)
                return None
        tool = await self._listed.find(name, list_page)
        return self._mirrored(name, None if tool is None else tool.get("inputSchema"))

    def _mirrored(self, name: str, schema: Any) -> Any:
        """The schema if it has mirrored arguments. Walking it is dear, so the finding is remembered."""
        judged = self._judged.get(name)
        if judged is None or judged[0] is not schema:
            if len(self._judged) >= _MAX_JUDGED:
                self._judged.clear()
            judged = self._judged[name] = (schema, bool(x_mcp_header_map(schema)))
        return schema if judged[1] else None
