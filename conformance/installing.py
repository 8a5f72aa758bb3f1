"""Brings node and the suite from npm into ``build/conformance``, once.

The machine's own npm configuration says where packages come from; nothing here does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from conformance.legs import NEXT, STABLE

LEAST_NODE: Final = 22
_INSTALL_TIMEOUT_S: Final = 600
_DONE: Final = ".installed"
_SUITE: Final = "@modelcontextprotocol/conformance"


class InstallError(Exception):
    """Node or the suite cannot be had; the sentence says which and why."""


@dataclass(frozen=True)
class Tools:
    """Where node and the releases of the suite are."""

    node: Path
    suites: dict[str, Path]


def install(folder: Path) -> Tools:
    """What a run needs, brought if it is not there.

    Raises:
        InstallError: npm is missing, or could not bring a package.
    """
    node = _system_node() or _package(folder / "node", f"node@{LEAST_NODE}") / "node" / "bin" / "node"
    suites = {
        release: _package(folder / f"suite-{release}", f"{_SUITE}@{release}") / _SUITE / "dist" / "index.js"
        for release in (NEXT, STABLE)
    }
    for needed in (node, *suites.values()):
        if not needed.is_file():
            raise InstallError(f"npm brought no {needed}; remove {folder} and try again")
    return Tools(node, suites)


def _system_node() -> Path | None:
    """The machine's node, if it is new enough."""
    found = shutil.which("node")
    if found is None:
        return None
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=30)
    return Path(found) if major_version(answer.stdout) >= LEAST_NODE else None


def major_version(answer: str) -> int:
    """The first number of what ``node --version`` prints; 0 when it is no version."""
    matched = re.match(r"v(\d+)\.", answer.strip())
    return int(matched.group(1)) if matched else 0


def _package(folder: Path, spec: str) -> Path:
    """The node_modules folder that holds one package."""
    modules = folder / "node_modules"
    if (folder / _DONE).is_file():
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not installed; the suite comes from there")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}\n')
    ran = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", spec],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_INSTALL_TIMEOUT_S,
    )
    if ran.returncode:
        raise InstallError(f"npm could not bring {spec}: {ran.stderr.strip()[-600:]}")
    (folder / _DONE).touch()
    return modules
