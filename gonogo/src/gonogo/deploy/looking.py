"""Looking at the world from outside until it is as expected, with a bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from gonogo.adapters.mcp_calls import CallAnswer
from gonogo.deploy.platform import Generation, Serving
from gonogo.deploy.services import DeployServices
from gonogo.model.errors import GonogoError

Seen = TypeVar("Seen")

POLL_S = 0.05


async def until(
    services: DeployServices, look: Callable[[], Awaitable[Seen | None]], *, timeout_s: float
) -> Seen | None:
    """What ``look`` saw when it first saw something, or None when the time is over.

    The last look is after the deadline, so a slow clock never makes a true thing look false. An error of
    the last look is raised; earlier ones only mean "not yet".
    """
    deadline = services.clock() + timedelta(seconds=timeout_s)
    while True:
        last = services.clock() >= deadline
        try:
            seen = await look()
        except GonogoError:
            if last:
                raise
            seen = None
        if seen is not None or last:
            return seen
        await services.sleep(POLL_S)


async def generation_named(services: DeployServices, generation: str) -> Generation | None:
    """The generation with that id, or None if the platform knows none."""
    return next((g for g in await services.platform.generations() if g.id == generation), None)


async def observed_serving(
    services: DeployServices, generation: str, server: Sequence[str], *, timeout_s: float
) -> tuple[Serving, CallAnswer]:
    """``generation`` as the one that serves, and a real call to the public address that it answered.

    A connection that was kept open may still reach the generation before for one more answer, so the
    call is repeated until its answer names ``server``, the guest's name and version.

    Raises:
        GonogoError: deploy.not-serving, deploy.wrong-answer, or what the last call raised.
    """
    seen: list[str] = []

    async def look() -> tuple[Serving, CallAnswer] | None:
        seen[:] = []
        serving = await services.platform.serving()
        if serving.generation != generation:
            return None
        answer = await services.calls.journey(services.endpoint)
        seen[:] = [answer.server_name, answer.server_version]
        return (serving, answer) if seen == list(server) else None

    found = await until(services, look, timeout_s=timeout_s)
    if found is not None:
        return found
    if seen:
        raise GonogoError(
            "deploy.wrong-answer",
            f"the public address is answered by {' '.join(seen)}; expected {' '.join(server)}",
            hint="is another process listening on the same address?",
            exit_code=1,
        )
    serving = await services.platform.serving()
    raise GonogoError(
        "deploy.not-serving",
        f"generation {generation} does not serve after {timeout_s:g} s, got {serving.generation}",
        hint="read the service's log",
        exit_code=1,
    )
