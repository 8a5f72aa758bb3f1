"""Finds the checks: every module below ``gonogo.checks`` that defines ``CHECK`` is one.

There is no list to edit. The order is that of the names, so that two runs are alike.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType

import gonogo.checks
from gonogo.checks.check import Check
from gonogo.model.errors import GonogoError


def load_checks(package: ModuleType = gonogo.checks) -> dict[str, Check]:
    """All checks by their id.

    Raises:
        GonogoError: checks.duplicate if two answer the same requirement, checks.not-a-check if ``CHECK``
            is something else.
    """
    return collected(
        (module.__name__, module.CHECK) for module in _modules(package) if hasattr(module, "CHECK")
    )


def collected(found: Iterable[tuple[str, object]]) -> dict[str, Check]:
    """Checks by id from pairs of a module's name and its ``CHECK``.

    Raises:
        GonogoError: as ``load_checks``.
    """
    checks: dict[str, Check] = {}
    answered: dict[str, str] = {}
    for module, check in found:
        if not isinstance(check, Check):
            raise GonogoError(
                "checks.not-a-check", f"{module}.CHECK is a {type(check).__name__}; expected Check"
            )
        for box in check.boxes:
            if box in answered:
                raise GonogoError(
                    "checks.duplicate", f"{box} is answered by {answered[box]} and by {module}; expected one"
                )
            answered[box] = module
        checks[check.id] = check
    return checks


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    for name in sorted(info.name for info in found):
        yield importlib.import_module(name)  # noqa: TID251 - the one place that finds check modules
