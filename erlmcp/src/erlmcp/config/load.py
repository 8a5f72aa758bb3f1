"""From ``erlmcp.toml``, the environment and flags to one effective configuration that knows its sources.

Later sources win: default, file, environment, flag, generation. Nothing is guessed: an unknown key is
refused with the nearest known one. What a configuration may say is ``erlmcp.config.schema``; session keys
are secrets and come from ``erlmcp.config.keys``.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_origin

from pydantic import BaseModel, ValidationError

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import ENVIRONMENT_NAMES
from erlmcp.config.schema import Settings

Source = Literal["default", "file", "env", "flag", "generation", "control"]

ENV_PREFIX = "ERLMCP_"

_SECRET_KEY = re.compile(r"(^|[._])(password|passwd|secret|token|key|keys|credential)s?$")
_URL_PASSWORD = re.compile(r"((?:://[^/@:\s]*:|[?&]password=))[^@&\s]+(@|&|$)")


@dataclass(frozen=True)
class Effective:
    """A configuration that holds, and where each value that is not a default came from."""

    settings: Settings
    sources: Mapping[str, Source] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def digest(self) -> str:
        """SHA-256 over the effective values; equal for equal behaviour, whatever the sources."""
        canonical = json.dumps(dict(self.values()), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def values(self) -> Iterator[tuple[str, Any]]:
        """Every key with its JSON value, in the order of the schema."""
        yield from _flatten(self.settings.model_dump(mode="json"), "")

    def shown(self) -> dict[str, dict[str, Any]]:
        """Every value with its source, for people; what looks like a secret is ``***``."""
        return {
            key: {
                "value": _shown(key, value),
                "source": self.sources.get(key, "default"),
            }
            for key, value in self.values()
        }

    def with_values(self, values: Mapping[str, Any], source: Source) -> Effective:
        """The same with some values replaced.

        Raises:
            ErlmcpError: config.unknown-key, config.bad-value.
        """
        for key in values:
            _require_known(key, source, "")
        merged = {key: value for key, value in self.values() if key in self.sources}
        merged.update(values)
        sources: dict[str, Source] = {**self.sources, **dict.fromkeys(values, source)}
        return Effective(_validated(merged, sources), MappingProxyType(sources))


def load(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] = MappingProxyType({}),
    flags: Mapping[str, Any] = MappingProxyType({}),
    generation: Mapping[str, Any] = MappingProxyType({}),
) -> Effective:
    """Read every source and check it.

    Args:
        file: path of the TOML file; None reads none.
        environ: the process environment; ``ERLMCP_LOG__LEVEL`` sets ``log.level``.
        flags: values given on the command line, by dotted key.
        generation: values that hold for one generation only, by dotted key.

    Raises:
        ErlmcpError: config.not-found, config.not-toml, config.unknown-key, config.bad-value.
    """
    effective = Effective(Settings())
    if file is not None:
        effective = effective.with_values(_read_file(file), "file")
    effective = effective.with_values(_read_environment(environ), "env")
    effective = effective.with_values(flags, "flag")
    return effective.with_values(generation, "generation")


def _read_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as fault:
        raise ErlmcpError(
            "config.not-found",
            f"the configuration file cannot be read, got {file}: {fault.strerror}; expected a readable file",
            hint="give the right path with --config, or leave --config out to run on defaults",
        ) from fault
    except UnicodeDecodeError as fault:
        raise _not_toml(file, f"it is not UTF-8 at byte {fault.start}") from fault
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise _not_toml(file, str(fault)) from fault
    values = dict(_flatten_document(document))
    for key in values:
        _require_known(key, "file", f" in {file}")
    return values


def _shown(key: str, value: Any) -> Any:
    """A value without what must not be seen."""
    if value and _SECRET_KEY.search(key):
        return "***"
    if not isinstance(value, str):
        return value
    return _URL_PASSWORD.sub(lambda found: f"{found[1]}***{found[2]}", value)


def _not_toml(file: Path, why: str) -> ErlmcpError:
    return ErlmcpError(
        "config.not-toml",
        f"the configuration file is not TOML, got {file}: {why}; expected key = value lines in sections",
        hint="mend the line that is named; strings need quotes",
    )


def _flatten_document(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _SECTIONS:
            if not isinstance(value, dict):
                raise _bad_value(name, value, "a table", "file")
            for key, inner in value.items():
                yield f"{name}.{key}", inner
        else:
            yield name, value


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENVIRONMENT_NAMES:
            continue
        key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
        _require_known(key, "env", f" in the environment variable {name}")
        values[key] = _split_list(text) if key in _LISTS else text
    return values


def _split_list(text: str) -> list[Any]:
    """Words between commas, or a JSON array where the members are more than words."""
    if text.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            return found if isinstance(found, list) else [found]
    return [part.strip() for part in text.split(",") if part.strip()]


def _require_known(key: str, source: Source, where: str) -> None:
    if key in _KEYS:
        return
    near = difflib.get_close_matches(key, [*_KEYS, *_SECTIONS], n=1, cutoff=0.5)
    nearest = near[0] if near else ""
    if nearest and source == "env":
        nearest = ENV_PREFIX + nearest.upper().replace(".", "__")
    every = "docs/reference/erlmcp-toml.md lists every key, and its name in the environment"
    raise ErlmcpError(
        "config.unknown-key",
        f"unknown key{where}, got {key!r}; expected a key of the configuration reference",
        hint=f"did you mean {nearest}?" if nearest else every,
    )


def _validated(values: Mapping[str, Any], sources: Mapping[str, Source]) -> Settings:
    document: dict[str, Any] = {}
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        (document.setdefault(section, {}) if section else document)[name] = value
    try:
        return Settings.model_validate(document)
    except ValidationError as faults:
        fault = faults.errors()[0]
        loc = fault["loc"]
        key = ".".join(str(part) for part in loc[: 2 if loc[0] in _SECTIONS else 1])
        expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ").lower()
        raise _bad_value(key, fault["input"], expected, sources.get(key, "default")) from None


def _bad_value(key: str, got: Any, expected: str, source: Source) -> ErlmcpError:
    shown = "***" if _SECRET_KEY.search(key) else repr(_shown(key, got))
    return ErlmcpError(
        "config.bad-value",
        f"{key} from {source} is wrong, got {shown}; expected {expected}",
        hint=_description(key),
    )


def _description(key: str) -> str:
    model: type[BaseModel] = Settings
    section, _, name = key.rpartition(".")
    if section:
        model = _SECTIONS[section]
    info = model.model_fields.get(name)
    return info.description or "" if info else ""


def _flatten(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _sections() -> dict[str, type[BaseModel]]:
    found = {}
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found[name] = info.annotation
    return found


def _lists() -> Iterator[str]:
    for section, model in _SECTIONS.items():
        for name, info in model.model_fields.items():
            if get_origin(info.annotation) is tuple:
                yield f"{section}.{name}"


_SECTIONS: dict[str, type[BaseModel]] = _sections()
_KEYS: tuple[str, ...] = tuple(key for key, _ in _flatten(Settings().model_dump(mode="json"), ""))
_LISTS: frozenset[str] = frozenset(_lists())
