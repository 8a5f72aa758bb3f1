"""The life of a generation as a table. Pure: no I/O, no clock, no processes.

``erlmcp.supervisor.generation`` moves along it and nowhere else; the documentation's diagram and the tests
read the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a generation stands."""

    STARTING = "starting"
    """Its workers are being started."""
    STAGED = "staged"
    """Its workers run and hold the sockets; only the private listener accepts."""
    ACTIVE = "active"
    """It accepts public traffic. At most one generation is active."""
    DRAINING = "draining"
    """It accepts no more and finishes what it has."""
    WARM = "warm"
    """Drained and kept running, so that the way back is one activation."""
    RETIRING = "retiring"
    """Its workers are ending."""
    GONE = "gone"
    """Its workers have ended as asked."""
    FAILED = "failed"
    """It did not start, or its workers died too often."""


class Event(StrEnum):
    """What moves a generation."""

    STARTED = "started"
    ACCEPTING = "accepting"
    STOPPED_ACCEPTING = "stopped accepting"
    DRAINED = "drained"
    RETIRE = "retire"
    ENDED = "ended"
    BROKE = "broke"


TRANSITIONS: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.STARTING: {
            Event.STARTED: State.STAGED,
            Event.RETIRE: State.RETIRING,
            Event.BROKE: State.FAILED,
        },
        State.STAGED: {
            Event.ACCEPTING: State.ACTIVE,
            Event.RETIRE: State.RETIRING,
            Event.BROKE: State.FAILED,
        },
        State.ACTIVE: {
            Event.STOPPED_ACCEPTING: State.DRAINING,
            Event.RETIRE: State.RETIRING,
            Event.BROKE: State.FAILED,
        },
        State.DRAINING: {
            Event.DRAINED: State.WARM,
            Event.ACCEPTING: State.ACTIVE,
            Event.RETIRE: State.RETIRING,
            Event.BROKE: State.FAILED,
        },
        State.WARM: {Event.ACCEPTING: State.ACTIVE, Event.RETIRE: State.RETIRING, Event.BROKE: State.FAILED},
        State.RETIRING: {Event.ENDED: State.GONE},
        State.GONE: {},
        State.FAILED: {Event.RETIRE: State.RETIRING},
    }
)

CAN_ACCEPT = frozenset(state for state, moves in TRANSITIONS.items() if Event.ACCEPTING in moves)
"""From here a generation can be activated."""

ENDED = frozenset({State.GONE, State.FAILED})
"""It has no workers."""


class IllegalTransitionError(Exception):
    """The table has no such move."""


def after(state: State, event: Event) -> State:
    """The state that follows.

    Raises:
        IllegalTransitionError: the event cannot happen in this state.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransitionError(f"{event} cannot happen to a generation that is {state}") from None
