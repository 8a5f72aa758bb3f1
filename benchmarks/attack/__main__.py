"""``python -m benchmarks.attack``: what a good client feels while a crowd of hostile ones holds on.

Ends with 1 if a limit is missed. The limits were stated before there were results: benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.attack.attacking import Attack, attacked
from benchmarks.attack.good import Felt, anew, kept
from benchmarks.http import machine
from benchmarks.http.messages import WrongAnswerError
from benchmarks.http.serving import running
from benchmarks.http.targets import Mode, Target
from benchmarks.memory.report import Line, table

CROWD: Final = 10_000
P99_RATIO: Final = 2.0
HELD_SHARE: Final = 0.95
"""Of the crowd: those whose time is up are closed, and come again at once."""

ROUNDS: Final = 5
FULL_SHARE: Final = 0.45
"""Of the crowd that a worker with room for half of it holds, channels and connections of HTTP apart."""

_FOLDER: Final = Path(__file__).parent
OURS: Final = Target(
    "erlmcp",
    "{bin}/erlmcp serve benchmarks.http.guests:sdk_server --http 127.0.0.1:{port} --admin 127.0.0.1:{port2}"
    " --tcp 127.0.0.1:{port3} --control {folder}/control.sock --config {config}",
    Mode.MODERN,
)


def held(crowd: int, duration_s: float) -> list[Line]:
    """All of the crowd is held: the times of a client that has its connections."""
    quiet, under, attacks, used = [], [], [], []
    with running(OURS, _FOLDER / "erlmcp.toml") as server:
        kept(server.port, duration_s)  # it is warm
        for _ in range(ROUNDS):
            quiet.append(_right(kept(server.port, duration_s)))
            with attacked(server, crowd, round(crowd * HELD_SHARE)) as attack:
                before = machine.cpu_s(server.pid)
                under.append(_right(kept(server.port, duration_s)))
                used.append((machine.cpu_s(server.pid) - before) / duration_s)
            attacks.append(attack)
    found = _ratio(quiet, under)
    least = min(attack.least_held for attack in attacks)
    details = f"{_p99s(quiet)} ms quiet, {_p99s(under)} ms under attack, {_closed(attacks)}"
    what = f"p99 of a good client while {least:,} hostile connections are held, to its quiet one"
    return [
        Line(what, details, found, "", P99_RATIO),
        Line("share of a core that the server used then", "", max(used), "", None),
    ]


def full(crowd: int, duration_s: float) -> list[Line]:
    """The crowd is larger than what a worker takes: the fate of clients that come anew for every call."""
    calls = round(duration_s * 50)
    with running(OURS, _FOLDER / "full.toml") as server:
        anew(server.port, calls)
        quiet = _right(anew(server.port, calls))
        with attacked(server, crowd, round(crowd * FULL_SHARE)) as attack:
            under = anew(server.port, calls)
    served = (under.calls - under.bad) / calls
    details = f"p99 {quiet.p99_ms:.2f} ms quiet, {under.p99_ms:.2f} ms under attack, {_closed([attack])}"
    return [Line("new clients served while all room is taken", details, served, "", 0.99, at_least=True)]


PARTS: Final[dict[str, Callable[[int, float], list[Line]]]] = {"held": held, "full": full}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; 0 if every limit is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="which parts; all if none is named")
    parser.add_argument("--crowd", type=int, default=CROWD, help="how many hostile connections")
    parser.add_argument("--secs", type=float, default=10.0, help="how long each measurement takes, seconds")
    asked = parser.parse_args(arguments)
    lines = [line for name in asked.only or PARTS for line in PARTS[name](asked.crowd, asked.secs)]
    print(table(lines))
    return 0 if all(line.met for line in lines) else 1


def _right(felt: Felt) -> Felt:
    if felt.bad:
        raise WrongAnswerError(f"{felt.bad} of {felt.calls} good calls went wrong")
    return felt


def _ratio(quiet: Sequence[Felt], under: Sequence[Felt]) -> float:
    medians = [statistics.median(each.p99_ms for each in felt) for felt in (under, quiet)]
    return medians[0] / medians[1]


def _p99s(felt: Sequence[Felt]) -> str:
    return ", ".join(f"{each.p99_ms:.2f}" for each in felt)


def _closed(attacks: Sequence[Attack]) -> str:
    return f"{sum(sum(attack.closed.values()) for attack in attacks):,} hostile connections closed meanwhile"


if __name__ == "__main__":
    sys.exit(main())
