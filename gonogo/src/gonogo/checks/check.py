"""What a check is. One file per check; a check's file defines ``CHECK`` and nothing else edits a list.

A probe reads the world and returns readings. A judge is a pure function from readings to a ruling.
The runner (``gonogo.checks.runner``) stores the readings as evidence, bounds the probe by its deadline
and turns the ruling into a finding; a probe that raises or runs out of time is ``unknown``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer, Finding

if TYPE_CHECKING:
    from gonogo.checks.context import CheckContext


class SideEffect(StrEnum):
    """What running a check does to the world."""

    PASSIVE = "passive"
    MARKED_TRAFFIC = "marked-traffic"
    DISRUPTIVE = "disruptive"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A judge's answer on one subject."""

    answer: Answer
    subject: str
    reason: str
    hint: str | None = None


Probe = Callable[["CheckContext"], Awaitable[Sequence[Reading]]]
Judge = Callable[[Sequence[Reading], "CheckContext"], Ruling]
Derive = Callable[[Mapping[str, Finding]], Ruling]


@dataclass(frozen=True, slots=True)
class Check:
    """A check for one requirement (and any others it satisfies by the same evidence).

    Attributes:
        id: the requirement's id.
        boxes: requirement ids it answers; ``id`` first.
        needs: capabilities without which the answer is unknown and says so, such as ``git``,
            ``admin``, ``mcp``, ``command:unit-tests``.
        side_effect: what running it does.
        deadline_s: after this the answer is unknown.
        valid_s: how long a finding stays fresh.
        probe, judge: for checks that read the world.
        children, derive: for roll-ups: requirement ids read, and the rule; the default rule is the worst.
    """

    id: str
    boxes: tuple[str, ...]
    side_effect: SideEffect = SideEffect.PASSIVE
    needs: frozenset[str] = field(default_factory=frozenset)
    deadline_s: float = 30.0
    valid_s: float = 3600.0
    probe: Probe | None = None
    judge: Judge | None = None
    children: tuple[str, ...] = ()
    derive: Derive | None = None
