"""What the tests claim: collected once, in a process of its own, as a run of the tests would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # test modules of this folder stand in no package

from book import Claim  # noqa: E402


def collected(folder: Path, *arguments: str) -> tuple[list[Claim], list[str]]:
    """The claims of everything that pytest collects, and what is wrong with markers."""
    report = folder / "claims.json"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "claims_plugin"]
    ran = subprocess.run(
        [*command, f"--claims-to={report}", *arguments],
        cwd=HERE.parents[2],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    found = json.loads(report.read_text())
    return [Claim(name, tuple(cell), test) for name, cell, test in found["claims"]], found["faults"]


@pytest.fixture(scope="session")
def claims(tmp_path_factory):
    """What all tests of erlmcp claim, and what is wrong with their markers."""
    return collected(tmp_path_factory.mktemp("claims"), "erlmcp/tests")


@pytest.fixture
def collect(tmp_path):
    """A function that collects again, with other arguments."""
    return lambda *arguments: collected(tmp_path, *arguments)
