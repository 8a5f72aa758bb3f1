"""The same source makes the same wheel, to the byte: whoever builds it can compare it with ours."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.pyc", "tests")


def built(name, folder, umask, change=None):
    """The digest of a wheel that is built in this folder, by somebody with this umask."""
    source = folder / name
    shutil.copytree(ROOT / name, source, ignore=NOT_SOURCE)
    shutil.copytree(ROOT / "docs/errors", folder / "docs/errors")  # gonogo explains them
    for number, path in enumerate(sorted(source.rglob("*.py"))):
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + umask))
        path.chmod(0o666 & ~umask)
    if change is not None:
        file = source / "src" / name / "__init__.py"
        file.write_text(file.read_text() + change)
    command = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "wheel", "--no-deps"]
    subprocess.run(
        [*command, "--no-build-isolation", "-w", str(folder), str(source)],
        check=True,
        umask=umask,
        cwd=folder,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["erlmcp", "gonogo"])
def test_wheels_do_not_depend_on_when_where_and_by_whom_they_are_built(name, tmp_path):
    folders = {0o022: tmp_path / "one", 0o077: tmp_path / "another" / "place"}
    for folder in folders.values():
        folder.mkdir(parents=True)
    digests = {built(name, folder, umask) for umask, folder in folders.items()}
    assert len(digests) == 1


def test_another_source_makes_another_wheel(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
    assert built("erlmcp", tmp_path / "one", 0o022) != built("erlmcp", tmp_path / "other", 0o022, "# more\n")
