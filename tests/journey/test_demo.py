"""``make demo``, as the README promises it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_make_demo_ends_well_only_after_it_observed_everything():
    """Slow because it is the demo itself: two releases for real, each watched under load."""
    done = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    story = done.stdout + done.stderr
    assert done.returncode == 0, story
    assert "all 21 observed" in story
    assert "not observed" not in story
