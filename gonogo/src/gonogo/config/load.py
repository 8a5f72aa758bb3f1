"""Finds gonogo.toml, reads it strictly and says precisely what is wrong.

It does not say what a configuration is (that is ``gonogo.config.schema``) and holds no defaults of
its own; manifests are ``gonogo.release.manifest``'s. Every fault is a ``GonogoError``, ``config.*``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gonogo.config.schema import Environment, Settings
from gonogo.model.errors import GonogoError

FILE_NAME = "gonogo.toml"
MAX_FILE_BYTES = 1024 * 1024

_Model = TypeVar("_Model", bound=BaseModel)
# A misspelt key is also a missing one: the first says more.
_TELLING = {"extra_forbidden": 0, "missing": 1}
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings and where they were read.

    Attributes:
        path: the file; it need not exist if ``configured`` is False.
        repo: folder of the file; relative paths of the settings start here.
        configured: False when the settings are the defaults for a repository without a file.
    """

    settings: Settings
    path: Path
    repo: Path
    configured: bool = True

    @property
    def state(self) -> Path:
        """Folder of the journal and the evidence."""
        return self.repo / self.settings.state


def load(folder: Path) -> Loaded:
    """Settings of the nearest gonogo.toml in ``folder`` or above it.

    Raises:
        GonogoError: config.not-found, config.not-toml, config.unknown-key, config.missing-key,
            config.bad-value, config.unknown-person or config.unknown-profile.
    """
    path = find(folder)
    if path is None:
        raise GonogoError(
            "config.not-found",
            f"no {FILE_NAME} in {folder.resolve()} or any folder above it",
            hint="gonogo init",
        )
    settings = read_model(path, Settings)
    _check_references(settings, path)
    return Loaded(settings, path, path.parent)


def find(folder: Path) -> Path | None:
    """The nearest gonogo.toml in ``folder`` or above it, or None."""
    start = folder.resolve()
    for place in (start, *start.parents):
        if (place / FILE_NAME).is_file():
            return place / FILE_NAME
        if (place / ".git").exists():
            return None
    return None


def environment_named(loaded: Loaded, name: str | None) -> tuple[str, Environment]:
    """The environment ``name``; None means the only one, else ``production``.

    Raises:
        GonogoError: config.unknown-environment.
    """
    known = loaded.settings.environments
    chosen = name or (next(iter(known)) if len(known) == 1 else "production")
    if chosen in known:
        return chosen, known[chosen]
    expected = ", ".join(sorted(known)) or "at least one [environments.NAME] section"
    raise GonogoError(
        "config.unknown-environment",
        f"no environment {chosen!r}; expected {expected}",
        hint=_nearest_hint(chosen, known, "--env {}") or f"add [environments.{chosen}] to {FILE_NAME}",
    )


def read_model(path: Path, model: type[_Model]) -> _Model:
    """A TOML file as ``model``; unknown keys are errors.

    Raises:
        GonogoError: config.unreadable, config.not-toml, config.unknown-key, config.missing-key or
            config.bad-value.
    """
    try:
        return model.model_validate(_read_toml(path))
    except ValidationError as error:
        raise _first_fault(error, path, model) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise GonogoError(
            "config.unreadable",
            f"{path} cannot be read: {error.strerror or error}",
            hint="make it a regular file that you may read",
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise GonogoError(
            "config.not-toml",
            f"{path.name} is larger than {MAX_FILE_BYTES} bytes",
            hint="keep data out of the configuration",
        )
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _not_toml(path, line, column, "not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        position = _POSITION.search(str(error))
        lines = data.decode("utf-8").split("\n")
        line, column = (
            (int(position[1]), int(position[2])) if position else (len(lines), max(len(lines[-1]), 1))
        )
        what = _POSITION.sub("", str(error)).replace("(at end of document)", "at the end of the file").strip()
        raise _not_toml(path, line, column, what[:1].lower() + what[1:]) from None


def _not_toml(path: Path, line: int, column: int, what: str) -> GonogoError:
    return GonogoError(
        "config.not-toml",
        f"{path.name} is not TOML at line {line}, column {column}: {what}",
        hint=f"mend {path}:{line}:{column}",
    )


def _first_fault(error: ValidationError, path: Path, model: type[BaseModel]) -> GonogoError:
    faults = error.errors(include_url=False, include_context=False)
    first = min(faults, key=lambda fault: _TELLING.get(fault["type"], len(_TELLING)))
    others = [_dotted(fault["loc"]) for fault in faults if fault is not first]
    note = f"also wrong: {', '.join(others)}" if others else None
    where = f"{path.name}: {_dotted(first['loc'])}"
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        key = str(first["loc"][-1])
        return GonogoError(
            "config.unknown-key",
            f"{where} is not a known key; expected one of {', '.join(sorted(known))}",
            hint=_nearest_hint(key, known, "did you mean {}?") or f"remove {key}",
            note=note,
        )
    if first["type"] == "missing":
        return GonogoError(
            "config.missing-key",
            f"{where} is missing; expected {_meaning_of(model, first['loc'])}",
            hint=f"add {first['loc'][-1]} to {_section_of(first['loc'])}{path.name}",
            note=note,
        )
    return GonogoError(
        "config.bad-value",
        f"{where} is wrong, got {_short(first)}; expected {_expected(first)}",
        hint=_meaning_of(model, first["loc"]) or f"see docs/reference for {_dotted(first['loc'])}",
        note=note,
    )


def _check_references(settings: Settings, path: Path) -> None:
    """Names in one section that point to another."""
    for name, environment in settings.environments.items():
        if environment.profile != "full" and environment.profile not in settings.profiles:
            raise GonogoError(
                "config.unknown-profile",
                f"{path.name}: environments.{name}.profile is {environment.profile!r}; "
                f"expected full{''.join(', ' + known for known in sorted(settings.profiles))}",
                hint=_nearest_hint(environment.profile, settings.profiles, 'did you mean "{}"?')
                or f"add [profiles.{environment.profile}]",
            )
    for group, declared in settings.not_applicable.items():
        if declared.by not in settings.people:
            raise _unknown_person(declared.by, settings.people, f"{path.name}: not_applicable.{group}.by: ")
        try:
            date.fromisoformat(declared.until)
        except ValueError:
            raise GonogoError(
                "config.bad-value",
                f"{path.name}: not_applicable.{group}.until is wrong, got {declared.until!r}; "
                "expected a day as YYYY-MM-DD",
                hint="a scope decision ends on a day; write it as YYYY-MM-DD",
            ) from None


def _unknown_person(person: str, known: Iterable[str], where: str) -> GonogoError:
    expected = ", ".join(sorted(known)) or "at least one [people.ID] section"
    return GonogoError(
        "config.unknown-person",
        f"{where}no person {person!r} on the roster; expected {expected}",
        hint=_nearest_hint(person, known, "did you mean {}?") or f"add [people.{person}] to {FILE_NAME}",
    )


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> Mapping[str, Any]:
    """The known keys of the section at ``loc``, through sections and tables of sections."""
    current: type[BaseModel] = model
    for part in loc:
        field = current.model_fields.get(str(part))
        if field is None:  # the name of an entry in a table, such as an environment's
            continue
        for candidate in (field.annotation, *get_args(field.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                current = candidate
    return current.model_fields


def _meaning_of(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    names = [str(part) for part in loc if not isinstance(part, int)]
    field = _fields_at(model, tuple(names[:-1])).get(names[-1]) if names else None
    text = (field.description or "") if field else ""
    return text.rstrip(".") if text else (names[-1] if names else "a table")


def _dotted(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _section_of(loc: tuple[int | str, ...]) -> str:
    return f"[{_dotted(loc[:-1])}] in " if len(loc) > 1 else ""


def _short(fault: ErrorDetails) -> str:
    text = repr(fault["input"])
    return text if len(text) <= 60 else text[:57] + "..."


def _expected(fault: ErrorDetails) -> str:
    text = fault["msg"]
    text = re.sub(r"^(Input|Value|String) should (be|match|have) ?", r"\2 ", text)
    return text.removeprefix("be ").removeprefix("a valid ")


def _nearest_hint(name: str, known: Iterable[str], form: str) -> str | None:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return form.format(near[0]) if near else None
