"""A search over one target: so many inputs from a seed, what was found, and what it cost.

Findings are kept as files, so that each can be played again. The search that is guided by coverage is in
``guided``; both count the same way.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import uvloop

from fuzz.targets import ALL, Target, warmed
from fuzz.world import Finding, World

Keep = Callable[[str, bytes, str], str]

BUILD: Final = Path(__file__).resolve().parent.parent / "build" / "fuzz"
MAX_FINDINGS: Final = 5
MAX_GROWTH_BYTES: Final = 128 * 1024 * 1024
"""What a worker may keep beyond what it kept after the first inputs: its bounded caches are smaller."""

_SETTLED_AFTER: Final = 2_000


@dataclass
class Outcome:
    """What a search came to."""

    target: str
    how: str
    inputs: int = 0
    seconds: float = 0.0
    growth_bytes: int = 0
    findings: list[str] = field(default_factory=list)


def quiet() -> None:
    """Refusals are the ordinary answer here, so what is logged about them is not written."""
    logging.basicConfig(level=logging.ERROR, handlers=[logging.NullHandler()], force=True)
    logging.captureWarnings(True)


def search(name: str, inputs: int, seed: int, keep: Keep | None = None) -> Outcome:
    """Throw mutated input at one target.

    Args:
        name: of the target.
        inputs: how many.
        seed: gives the same inputs again.
        keep: takes the target, an input and what is wrong with it; gives the line that is reported.
    """
    quiet()
    return uvloop.run(_search(name, inputs, seed, keep or kept))


async def _search(name: str, inputs: int, seed: int, keep: Keep) -> Outcome:
    world = await World.start()
    try:
        return await _throw(await warmed(ALL[name](world)), inputs, seed, keep)
    finally:
        await world.close()


async def _throw(target: Target, inputs: int, seed: int, keep: Keep) -> Outcome:
    rng, began, settled = Random(seed), time.monotonic(), 0  # noqa: S311 - it must come out the same again
    outcome = Outcome(target.name, f"mutation, seed {seed}")
    for number in range(inputs):
        if number == _SETTLED_AFTER:
            settled = resident_bytes()
        data = target.made(rng)
        fault = await fault_of(target, data, rng)
        outcome.inputs += 1
        if fault:
            outcome.findings.append(keep(target.name, data, fault))
            if len(outcome.findings) >= MAX_FINDINGS:
                break
    outcome.seconds = time.monotonic() - began
    if settled:
        outcome.growth_bytes = resident_bytes() - settled
        if outcome.growth_bytes > MAX_GROWTH_BYTES:
            outcome.findings.append(f"the process has grown by {outcome.growth_bytes} bytes")
    return outcome


async def fault_of(target: Target, data: bytes, rng: Random) -> str:
    """What is wrong with an input; empty when nothing is. Whatever it raises counts."""
    try:
        await target.check(data, rng)
    except Finding as finding:
        return str(finding)
    except Exception as raised:  # noqa: BLE001 - that nothing of the server's gets out is what is tested
        return f"{type(raised).__name__}: {raised}"
    return ""


def kept(name: str, data: bytes, fault: str) -> str:
    """Write an input to a file; the line that names it."""
    folder = BUILD / "findings"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return f"{fault}\n    python -m fuzz --target {name} --replay {path}"


def replay(name: str, data: bytes) -> str:
    """What is wrong with one input, cut in a few ways."""
    quiet()

    async def play() -> str:
        world = await World.start()
        try:
            target = ALL[name](world)
            faults = [await fault_of(target, data, Random(seed)) for seed in range(32)]  # noqa: S311 - as above
            return next(filter(None, faults), "")
        finally:
            await world.close()

    return uvloop.run(play())


def resident_bytes() -> int:
    """The memory of this process now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
