"""``python -m fuzz``: a million hostile inputs at every framing, a table of what was thrown, 1 if any bit.

Each search is a process of its own, as many at once as there are processors. Where atheris can be had, a part
of the inputs is guided by coverage; where it cannot, the table says that none was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fuzz.campaign import BUILD, Outcome, replay, search
from fuzz.guided import is_available
from fuzz.targets import ALL

GUIDED_PART: Final = 0.05
"""Of the inputs: coverage costs several times what the input itself does."""

SHARE: Final = {"json-rpc": 0.3, "lines": 0.2, "websocket": 0.2, "http": 0.3}
"""Of the inputs, for each target."""

_LIMIT_S: Final = 4 * 3_600


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, or play one input again; the exit status: 0 nothing found, 1 something, 2 it failed."""
    asked = _arguments(arguments)
    if asked.replay:
        fault = replay(asked.target[0], asked.replay.read_bytes())
        print(fault or "nothing is wrong with it")
        return 1 if fault else 0
    if asked.one:
        print(json.dumps(asdict(search(asked.one, asked.inputs, asked.seed))))
        return 0
    return _all(asked.target or list(ALL), asked.inputs, asked.seed)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many in all")
    parser.add_argument("--seed", type=int, default=0, help="gives the same mutations again")
    parser.add_argument("--target", action="append", choices=tuple(ALL), help="only this framing")
    parser.add_argument("--replay", type=Path, help="play one input at the target given")
    parser.add_argument("--one", choices=tuple(ALL), help=argparse.SUPPRESS)  # one process of a search
    asked = parser.parse_args(arguments)
    if asked.replay and not asked.target:
        parser.error("--replay needs --target")
    return asked


def _all(names: Sequence[str], inputs: int, seed: int) -> int:
    with_coverage = is_available()
    if not with_coverage:
        print("no atheris for this Python: nothing is guided by coverage, all inputs are mutations")
    whole = sum(SHARE[name] for name in names)
    searches: list[tuple[str, int, bool]] = []
    for name in names:
        count = round(inputs * SHARE[name] / whole)
        guided = round(count * GUIDED_PART) if with_coverage else 0
        searches += [(name, count - guided, False), *([(name, guided, True)] if guided else [])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda each: _process(*each, seed), searches))
    return _told([outcome for outcome in outcomes if outcome], len(searches))


def _process(name: str, inputs: int, guided: bool, seed: int) -> Outcome | None:
    """One search in a process of its own; None when it did not come to its end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome"
        options = ["--one", name, "--inputs", str(inputs), "--seed", str(seed)]
        arguments = ["fuzz.guided", name, str(inputs), str(path)] if guided else ["fuzz", *options]
        command = [sys.executable, "-W", "ignore", "-m", *arguments]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_LIMIT_S)
        found = path.read_text() if path.is_file() else ran.stdout if not guided else ""
    try:
        told: dict[str, Any] = json.loads(found)
    except ValueError:
        print(
            f"{name}: the search failed with status {ran.returncode}\n{ran.stderr[-2_000:]}", file=sys.stderr
        )
        return None
    outcome = Outcome(**told)
    _show(outcome)
    return outcome


def _show(outcome: Outcome) -> None:
    rate = outcome.inputs / max(outcome.seconds, 1e-9)
    growth = f", {outcome.growth_bytes / 2**20:+.0f} MiB" if outcome.growth_bytes else ""
    print(
        f"{outcome.target:<10} {outcome.how:<18} {outcome.inputs:>9,} inputs in {outcome.seconds:>7.1f} s"
        f" ({rate:,.0f} a second{growth}): {len(outcome.findings)} findings",
        flush=True,
    )
    for finding in outcome.findings:
        print(f"  {finding}")


def _told(outcomes: Sequence[Outcome], wanted: int) -> int:
    inputs = sum(outcome.inputs for outcome in outcomes)
    findings = sum(len(outcome.findings) for outcome in outcomes)
    guided = sum(outcome.inputs for outcome in outcomes if outcome.how == "coverage-guided")
    print(f"{inputs:,} inputs, {guided:,} of them guided by coverage: {findings} findings")
    if findings:
        print(f"they are kept in {BUILD / 'findings'}")
    if len(outcomes) < wanted:
        return 2
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
