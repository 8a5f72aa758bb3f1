"""Production as acts read it: who serves. Reading only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from gonogo.acts.desk import Desk
from gonogo.adapters.erlmcp_admin import AdminReader
from gonogo.adapters.http import HttpReader
from gonogo.model.errors import GonogoError

ASK_TIMEOUT_S = 3.0


def admin_of(desk: Desk, http: HttpReader) -> AdminReader:
    """A reader of the environment's admin listener."""
    critical = desk.settings.service.critical_components
    return AdminReader(desk.environment.admin_url, http, critical_components=critical)


async def health(desk: Desk) -> Mapping[str, Any] | str:
    """What /health says, or a sentence why there is no answer."""
    if not desk.environment.admin_url:
        return f"environments.{desk.environment_name}.admin_url is not declared"
    http = HttpReader()
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            return await admin_of(desk, http).health()
    except GonogoError as error:
        return error.message
    except TimeoutError:
        return f"{desk.environment.admin_url} did not answer within {ASK_TIMEOUT_S:g} s"
    finally:
        await http.close()


async def serving_version(desk: Desk) -> str | None:
    """The version that production reports; None if it does not answer in time."""
    answer = await health(desk)
    return None if isinstance(answer, str) else str(answer.get("version") or "") or None
