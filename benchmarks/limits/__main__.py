"""``python -m benchmarks.limits``: what limits cost a call of a tool that none of them holds back.

The steps that a call takes on its short way are timed by themselves, in a runtime with the default limits and
with every rate set and none reached, for a client on another machine. Ends with 1 if the target is missed.
"""

from __future__ import annotations

import asyncio
import sys
import timeit
from typing import Any, Final

from benchmarks.memory.report import Line, table

from erlmcp.config.schema import LimitSettings, Settings
from erlmcp.sessions.bus import LocalBus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.runtime import GuestRuntime

LIMIT_US: Final = 1.0
CLIENT: Final = "192.0.2.1"
TOOL: Final = "add"
_CALLS: Final = 20_000
_REPETITIONS: Final = 25
_NEVER: Final = 1_000_000.0
_EVERY_RATE: Final = LimitSettings(
    requests_per_s=_NEVER,
    burst=int(_NEVER),
    client_requests_per_s=_NEVER,
    client_burst=int(_NEVER),
    total_requests_per_s=_NEVER,
    total_burst=int(_NEVER),
    calls_per_s=_NEVER,
    calls_burst=int(_NEVER),
)


async def cost_us(limits: LimitSettings) -> float:
    """The least of many means, in µs: what other programs took meanwhile is not ours.

    Raises:
        AssertionError: the call was held back, so something else was measured.
    """
    runtime = await GuestRuntime.start(
        "benchmarks.http.guests:sdk_server",
        settings=Settings(limits=limits),
        keys=KeyRing([KeyRing.generate()]),
        bus=LocalBus(),
        meter=Meter(),
    )
    service: Any = runtime._service  # noqa: SLF001 - the steps are timed, not the way to them
    try:

        def steps() -> None:
            service.may_be_full()
            service.has_short_way(TOOL, None)
            service.call_wait_s(CLIENT, "")

        def nothing() -> None:
            pass

        with_them, without = (
            min(timeit.repeat(each, number=_CALLS, repeat=_REPETITIONS)) for each in (steps, nothing)
        )
        found = (service.may_be_full(), service.has_short_way(TOOL, None), service.call_wait_s(CLIENT, ""))
        assert found == (False, True, 0), found
    finally:
        await runtime.close()
    return (with_them - without) / _CALLS * 1e6


def main() -> int:
    """Measure both; 0 if the target is met."""
    usual, every = asyncio.run(cost_us(LimitSettings())), asyncio.run(cost_us(_EVERY_RATE))
    lines = [
        Line("limits of a call, as they are by default", "", usual, "µs", LIMIT_US),
        Line("limits of a call, with every rate set", "", every, "µs", None),
    ]
    print(table(lines))
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
