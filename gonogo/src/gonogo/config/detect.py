"""Looks at a repository and tells what ``gonogo init`` should write about it.

It only reads: files of the work tree and git's own answers. It runs no code of the repository; the
MCP object is found in the syntax tree. Writing the file is ``gonogo.config.starter``.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVER_CLASSES = frozenset({"FastMCP", "MCPServer", "Server"})
LOCK_FILES = ("requirements.lock", "uv.lock", "pylock.toml", "poetry.lock", "pdm.lock", "requirements.txt")
SKIPPED_FOLDERS = frozenset({"tests", "test", "docs", "build", "dist", "node_modules", "site-packages"})
MAX_SOURCE_FILES = 3000
MAX_SOURCE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Repository:
    """What was seen. Empty strings and tuples mean that it was not found.

    Attributes:
        target: ``module:object`` or ``path/file.py:object`` of the MCP server object.
        target_file: the file in which it was found.
        artefact: paths whose content is what runs.
        packages: import names of the shipped packages.
        unit_tests: the argument list that runs the tests, ``{junit}`` and ``{coverage}`` to be replaced.
        versions: versions that have a manifest already.
    """

    name: str
    version: str
    target: str
    target_file: str
    artefact: tuple[str, ...]
    packages: tuple[str, ...]
    lock: str
    python: str
    unit_tests: tuple[str, ...]
    versions: tuple[str, ...]
    person: str


def look_at(repo: Path) -> Repository:
    """What can be known about ``repo`` without running it."""
    project = _project_of(repo)
    sources = tuple(_sources(repo))
    target, target_file = _mcp_object(repo, sources)
    packages = _packages(repo, sources)
    python = next((p for p in (".venv/bin/python", "venv/bin/python") if (repo / p).is_file()), "python3")
    return Repository(
        name=_service_name(str(project.get("name") or repo.resolve().name)),
        version=str(project.get("version") or _described(repo) or "0.1.0"),
        target=target,
        target_file=target_file,
        artefact=_artefact(repo, packages, target_file),
        packages=packages,
        lock=next((name for name in LOCK_FILES if (repo / name).is_file()), ""),
        python=python,
        unit_tests=_unit_tests(repo, python, packages),
        versions=tuple(sorted(path.stem for path in (repo / "releases").glob("*.toml"))),
        person=_git(repo, "config", "user.name"),
    )


def version_without_manifest(repo: Path) -> str:
    """What to call the work tree where no manifest says: the nearest tag, else ``0``."""
    return _described(repo) or "0"


def _project_of(repo: Path) -> dict[str, object]:
    try:
        project = tomllib.loads((repo / "pyproject.toml").read_text("utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if isinstance(project, dict) else {}


def _service_name(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (slug if slug[:1].isalpha() else f"service-{slug}".rstrip("-"))[:63]


def _described(repo: Path) -> str:
    return _git(repo, "describe", "--tags", "--abbrev=0").removeprefix("v")


def _git(repo: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(repo), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _sources(repo: Path) -> Iterator[Path]:
    """Python files that ship, relative to the repository, nearest to its root first."""
    listed = _git(repo, "ls-files", "-co", "--exclude-standard", "--", "*.py").splitlines()
    paths = [Path(line) for line in listed] or [
        path.relative_to(repo)
        for pattern in ("*.py", "*/*.py", "src/**/*.py")
        for path in sorted(set(repo.glob(pattern)))
    ]
    kept = [
        path
        for path in paths
        if not any(part in SKIPPED_FOLDERS or part.startswith(".") for part in path.parts)
        and not path.name.startswith(("test_", "conftest"))
    ]
    yield from sorted(set(kept), key=lambda path: (len(path.parts), str(path)))[:MAX_SOURCE_FILES]


def _mcp_object(repo: Path, sources: tuple[Path, ...]) -> tuple[str, str]:
    for path in sources:
        name = _server_in(repo / path)
        if name:
            return f"{_module_of(repo, path)}:{name}", str(path)
    return "", ""


def _server_in(path: Path) -> str:
    """The module-level name that is given a server object in this file, or nothing."""
    try:
        if path.stat().st_size > MAX_SOURCE_BYTES:
            return ""
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"mcp", "fastmcp"}
        for alias in node.names
        if alias.name in SERVER_CLASSES
    }
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if targets and isinstance(targets[0], ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign):
            call = node.value.func if isinstance(node.value, ast.Call) else None
            called = call.id if isinstance(call, ast.Name) else ""
            attribute = call.attr if isinstance(call, ast.Attribute) else ""
            if called in imported or attribute in {"FastMCP", "MCPServer"}:
                return targets[0].id
    return ""


def _module_of(repo: Path, path: Path) -> str:
    """The import name where there is a package around the file, else the file itself."""
    parts = (path.parent if path.name == "__init__.py" else path.with_suffix("")).parts
    start = len(parts) - 1
    while start > 0 and (repo / Path(*parts[:start]) / "__init__.py").is_file():
        start -= 1
    inside_package = start < len(parts) - 1 or path.name == "__init__.py"
    on_path = start == 0 or parts[start - 1] == "src"
    return ".".join(parts[start:]) if inside_package and on_path else str(path)


def _packages(repo: Path, sources: tuple[Path, ...]) -> tuple[str, ...]:
    roots = {
        parts[1] if parts[0] == "src" else parts[0]
        for parts in (path.parts for path in sources)
        if len(parts) > (2 if parts[0] == "src" else 1) and _is_package(repo, parts)
    }
    return tuple(sorted(roots))


def _is_package(repo: Path, parts: tuple[str, ...]) -> bool:
    """Whether the top folder of this source file is an import package."""
    top = Path(*parts[:2]) if parts[0] == "src" else Path(parts[0])
    return (repo / top / "__init__.py").is_file()


def _artefact(repo: Path, packages: tuple[str, ...], target_file: str) -> tuple[str, ...]:
    if (repo / "src").is_dir():
        return ("src",)
    found = tuple(name for name in packages if (repo / name).is_dir())
    if target_file and not any(target_file.startswith(f"{name}/") for name in found):
        return (target_file, *found)
    return found


def _unit_tests(repo: Path, python: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    if not any((repo / name).is_dir() for name in ("tests", "test")) and not list(repo.glob("test_*.py")):
        return ()
    command = [python, "-m", "pytest", "-q", "--junitxml={junit}"]
    if _mentions_pytest_cov(repo):
        command += [f"--cov={name}" for name in packages] or ["--cov=."]
        command += ["--cov-report=json:{coverage}"]
    return tuple(command)


def _mentions_pytest_cov(repo: Path) -> bool:
    for name in ("pyproject.toml", "setup.cfg", "tox.ini", "requirements-dev.txt", *LOCK_FILES):
        path = repo / name
        if path.is_file() and b"pytest-cov" in path.read_bytes()[: 8 * MAX_SOURCE_BYTES]:
            return True
    return any(repo.glob(".venv/lib/python3*/site-packages/pytest_cov"))
