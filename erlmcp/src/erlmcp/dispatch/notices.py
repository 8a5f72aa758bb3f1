"""What an operator should know of a guest that is served all the same: it offers nothing, or it expects a
guard that is not there.

A guest without tools, prompts and resources is nearly always one whose registering code did not run.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from erlmcp.dispatch import sdk_private

logger = logging.getLogger(__name__)

LIST_TIMEOUT_S: Final = 1.0
"""A guest that asks others for its lists may be slow; then nothing is known and nothing said."""
_LISTS: Final = ("list_tools", "list_prompts", "list_resources", "list_resource_templates")
_METHODS: Final = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")


async def give_notice(guest: Any, name: str, *, guarded: bool = False) -> None:
    """Log what is to be known of a guest whose lifespan has been entered.

    Args:
        guarded: erlmcp asks its clients for access tokens.
    """
    if not guarded and sdk_private.asks_for_tokens(guest):
        logger.warning(
            "guest.auth-not-enforced: %s asks its clients for access tokens and erlmcp does not; say in"
            " [auth] whose tokens are good, or keep it on loopback or behind a proxy that asks",
            name,
        )
    await _warn_if_empty(guest, name)


async def names_offered(guest: Any) -> dict[str, frozenset[str]]:
    """The names of its ``tools`` and ``prompts``; without a kind whose names cannot be known now."""
    found = {}
    for kind in ("tools", "prompts"):
        try:
            async with asyncio.timeout(LIST_TIMEOUT_S):
                found[kind] = frozenset(each.name for each in await getattr(guest, f"list_{kind}")())
        except Exception as fault:  # noqa: BLE001 - as below; a low-level server has no such list
            logger.debug("cannot tell which %s there are: %r", kind, fault)
    return found


async def _warn_if_empty(guest: Any, name: str) -> None:
    """Log a warning when the guest has nothing to offer; what cannot be known is not warned of."""
    try:
        async with asyncio.timeout(LIST_TIMEOUT_S):
            empty = await _is_empty(guest)
    except Exception as fault:  # noqa: BLE001 - the guest's own lists may raise anything; a request will tell
        logger.debug("cannot tell what %s offers: %r", name, fault)
        return
    if empty:
        logger.warning(
            "guest.nothing-registered: %s has no tools, prompts or resources; if its main() registers them,"
            " name that instead of the object",
            name,
        )


async def _is_empty(guest: Any) -> bool:
    if hasattr(guest, "get_request_handler"):  # a low-level server registers methods, not things
        return not any(guest.get_request_handler(method) for method in _METHODS)
    for name in _LISTS:
        if await getattr(guest, name)():
            return False
    return True
