"""The search that is guided by coverage: atheris mutates what reaches new code, and so do our own mutations.

``python -m fuzz.guided TARGET INPUTS OUTCOME`` is one process of it, since libFuzzer ends its process. What
reached new code is kept in ``build/fuzz/corpus`` for the next time.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, Final

INSTRUMENTED: Final = ["erlmcp.protocol", "erlmcp.transports", "erlmcp.sessions", "erlmcp.edge", "websockets"]
MAX_INPUT_BYTES: Final = 8_192


def is_available() -> bool:
    """Whether there is an atheris for this Python and this machine."""
    try:
        import atheris  # noqa: F401 - it is only looked for
    except ImportError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Search; writes the outcome to a file and ends the process."""
    import atheris

    name, inputs, path = arguments[0], int(arguments[1]), Path(arguments[2])
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz import campaign
        from fuzz.targets import ALL, warmed
        from fuzz.world import World
    import uvloop

    campaign.quiet()
    loop = uvloop.new_event_loop()
    world = loop.run_until_complete(World.start())
    target = loop.run_until_complete(warmed(ALL[name](world)))
    outcome = campaign.Outcome(name, "coverage-guided")
    began = time.monotonic()

    def test_one_input(data: bytes) -> None:
        rng = Random(zlib.crc32(data))  # noqa: S311 - the same input is always cut in the same way
        fault = loop.run_until_complete(campaign.fault_of(target, data, rng))
        outcome.inputs += 1
        if fault and len(outcome.findings) < campaign.MAX_FINDINGS:
            outcome.findings.append(campaign.kept(name, data, fault))
        if fault or outcome.inputs == inputs:
            outcome.seconds = time.monotonic() - began
            path.write_text(json.dumps(asdict(outcome)))

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        from fuzz.mutate import mutated

        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return mutated(data, target.changes, Random(seed))[:max_size]  # noqa: S311 - libFuzzer's seed

    corpus = campaign.BUILD / "corpus" / name
    _run(atheris, test_one_input, mutate, _seeded(corpus, target.corpus), inputs)


def _seeded(folder: Path, corpus: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(corpus):
        (folder / f"seed-{number}").write_bytes(data)
    return folder


def _run(atheris: Any, test: Any, mutate: Any, corpus: Path, inputs: int) -> None:
    flags = [f"-runs={inputs}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=10", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], str(corpus), *flags], test, custom_mutator=mutate, internal_libfuzzer=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
