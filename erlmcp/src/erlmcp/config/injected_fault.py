"""A fault that is injected on purpose, to see how clients, alerts and people take it. Data and its checks.

Each has a ceiling and an end. Who keeps them is ``erlmcp.supervisor.injection``; what they do in a worker is
``erlmcp.transports.injection``.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from erlmcp.config.errors import ErlmcpError

COMPONENT_DOWN: Final = "component-down"
NAMES: Final = ("errors", "latency", "memory", "loop-block", COMPONENT_DOWN)


class InjectedFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. A fault reads what concerns it.

    Attributes:
        for_s: when it ends by itself, seconds from now.
        share: of the requests that are to fail (errors) or to wait (latency).
        seconds: how long a request waits (latency), or the event loop stands still, once (loop-block).
        bytes: what each worker takes of memory (memory).
        component: what ``/ready`` calls down (component-down).
    """

    for_s: Annotated[float, msgspec.Meta(gt=0, le=3_600)] = 60.0
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seconds: Annotated[float, msgspec.Meta(gt=0, le=30)] = 1.0
    bytes: Annotated[int, msgspec.Meta(gt=0, le=4 * 1024**3)] = 256 * 1024**2
    component: Annotated[str, msgspec.Meta(max_length=64)] = "guest"


def read_fault(name: str, body: bytes) -> InjectedFault:
    """The fault of a request body; an empty one asks for the defaults.

    Raises:
        ErlmcpError: faults.unknown, faults.bad-fault.
    """
    if name not in NAMES:
        raise ErlmcpError(
            "faults.unknown",
            f"no such fault, got {name[:80]!r}; expected one of {', '.join(NAMES)}",
            status=404,
        )
    try:
        return msgspec.json.decode(body or b"{}", type=InjectedFault)
    except msgspec.MsgspecError as fault:
        raise ErlmcpError(
            "faults.bad-fault",
            f"the body describes no fault, got: {fault}; expected for_s, share, seconds, bytes, component"
            " within their ceilings",
            hint='{"share": 0.1, "for_s": 60} is enough for errors',
        ) from fault
