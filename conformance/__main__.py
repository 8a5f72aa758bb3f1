"""``python -m conformance``: run the official suite, print a table, exit 1 unless every leg has full marks.

Without arguments erlmcp is started with each fixture server in turn. ``--url`` tests a server that is up
already, ``--host own`` the fixtures under the servers that their frameworks bring.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Final

from conformance import hosting
from conformance.installing import InstallError, Tools, install
from conformance.legs import ALLOWANCES, FASTMCP_ALLOWANCES, LEGS, Allowance, Leg
from conformance.results import Score
from conformance.running import LacksFixturesError, NoServerError, require_fixtures, run_leg

BUILD: Final = hosting.ROOT / "build" / "conformance"
FIXTURES: Final = {"sdk": "conformance.fixture_sdk:server", "fastmcp": "conformance.fixture_fastmcp:server"}
_SHOWN_FAULTS: Final = 40
_FAULT_WIDTH: Final = 240


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit status: 0 full marks, 1 not, 2 it could not be run."""
    asked = _arguments(arguments)
    legs = [leg for leg in LEGS if not asked.leg or leg.name in asked.leg]
    try:
        tools = install(BUILD)
        scores = {name: _run(name, asked, legs, tools) for name in _servers(asked)}
    except InstallError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    except (NoServerError, LacksFixturesError, hosting.StartError, subprocess.TimeoutExpired) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps({name: [asdict(s) for s in found] for name, found in scores.items()}, indent=1))
    return 0 if all(score.full for found in scores.values() for score in found) else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--url", help="test this server instead of starting one")
    parser.add_argument("--host", choices=("erlmcp", "own"), default="erlmcp", help="who serves the fixture")
    parser.add_argument("--fixture", action="append", choices=tuple(FIXTURES), help="only this fixture")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of erlmcp")
    parser.add_argument("--leg", action="append", choices=[leg.name for leg in LEGS], help="only this leg")
    parser.add_argument("--out", type=Path, default=BUILD / "results", help="where the results are kept")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON after the tables")
    return parser.parse_args(arguments)


def _servers(asked: argparse.Namespace) -> list[str]:
    if asked.url:
        return ["url"]
    return asked.fixture or list(FIXTURES)


def _run(name: str, asked: argparse.Namespace, legs: Sequence[Leg], tools: Tools) -> list[Score]:
    folder = asked.out / f"{asked.host}-{name}"
    with _server(name, asked, folder) as url:
        print(f"\n{name} fixture at {url}\n" if name != "url" else f"\n{url}\n", flush=True)
        require_fixtures(url)
        return [_shown(run_leg(leg, url, tools, folder, _allowed(name))) for leg in legs]


@contextmanager
def _server(name: str, asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    log = folder / "server.log"
    with ExitStack() as stack:
        if asked.url:
            yield stack.enter_context(nullcontext(asked.url))
        elif asked.host == "own":
            yield stack.enter_context(hosting.own(name, log=log))
        else:
            yield stack.enter_context(hosting.erlmcp(FIXTURES[name], workers=asked.workers, log=log))


def _allowed(name: str) -> Sequence[Allowance]:
    return FASTMCP_ALLOWANCES if name == "fastmcp" else ALLOWANCES


def _shown(score: Score) -> Score:
    """Print one row, and what is wrong below it."""
    mark = "full" if score.full else f"{len(score.faults)} short"
    row = f"{score.leg:<16} {score.passed:>4}/{score.total:<4} in {score.scenarios:>2} scenarios"
    print(f"{row}  {mark}" + (f"  ({score.skipped} skipped)" if score.skipped else ""))
    for fault in score.faults[:_SHOWN_FAULTS]:
        print(f"    {fault[:_FAULT_WIDTH]}")
    if len(score.faults) > _SHOWN_FAULTS:
        print(f"    and {len(score.faults) - _SHOWN_FAULTS} more")
    sys.stdout.flush()
    return score


if __name__ == "__main__":
    sys.exit(main())
