"""Writes the reference pages from their only source: the schemas of both configurations and the commands.

Run it after changing either; a test says when a page is behind.
"""

from __future__ import annotations

import enum
import inspect
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.main import get_command

from erlmcp.config import schema as server
from erlmcp.config.keys import ENVIRONMENT_NAMES
from erlmcp.config.load import ENV_PREFIX
from erlmcp.config.urls import identifier, loopback_or_https
from gonogo.cli.main import app
from gonogo.config.schema import Manifest, Settings

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

CONFIGURATION_HEAD = """\
# gonogo.toml

Made from the schema by `scripts/reference.py`; do not edit. Unknown keys are errors. Paths are relative to
the folder of the file. `gonogo init` writes a commented one for the repository it stands in.
"""
MANIFEST_HEAD = """\
# Release manifests

One file for each version, by default `releases/VERSION.toml`.
"""
COMMANDS_HEAD = """\
# Command line

Made from the program by `scripts/reference.py`; do not edit. Results go to stdout, messages to stderr.

| exit code | meaning |
|---|---|
| 0 | GO, or done |
| 1 | NO-GO, or failed |
| 2 | wrong usage, or a defect |
| 3 | HOLD: it could not be told, somebody must decide, or a deployment goes on without you |

`gonogo -C DIR COMMAND` works as if started in DIR. Colour is left out in pipes and with `NO_COLOR`.
"""
SERVER_HEAD = """\
# erlmcp.toml

Made from the schema by `scripts/reference.py`; do not edit. Unknown keys are errors. `erlmcp check-config`
shows the values that hold, and where each came from.

Later sources win: default, file (`--config`), environment, command line; last what a generation is staged
with, which has neither listeners nor a bus of its own. In the environment a list is words between commas, or
a JSON array. Bounds are of one value: what two keys must be together, `erlmcp check-config` knows.
"""
SECRETS_HEAD = """\
## Secrets

They stand in the environment, or in files of mode 0600 that it names; never in erlmcp.toml, and guests do
not see them.

| variable | meaning |
|---|---|"""
BOUND_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "at least", "max_length": "at most"}
URL_RULES = {
    loopback_or_https: "https, or http to loopback; no user, no fragment",
    identifier: "https, or http to loopback; no user, no query, no fragment",
}


def pages() -> dict[str, str]:
    """File name to text."""
    return {"gonogo-toml.md": configuration(), "cli.md": commands(), "erlmcp-toml.md": server_configuration()}


def server_configuration() -> str:
    """The manual of erlmcp.toml."""
    secrets = [f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT_NAMES.items()]
    parts = [SERVER_HEAD, *_server_section(server.Settings, ""), SECRETS_HEAD, *secrets]
    return "\n".join(parts).rstrip() + "\n"


def configuration() -> str:
    """The manual of gonogo.toml and of manifests."""
    parts = [CONFIGURATION_HEAD, *_section(Settings, ""), MANIFEST_HEAD, *_section(Manifest, "")]
    return "\n".join(parts).rstrip() + "\n"


def commands() -> str:
    """The manual of the command line."""
    parts = [COMMANDS_HEAD]
    program: Any = get_command(app)
    for name, command in program.commands.items():
        shown = [option for option in command.params if not getattr(option, "hidden", False)]
        arguments = " ".join(_argument(option) for option in shown if option.param_type_name == "argument")
        parts.append(f"## gonogo {name}\n\n`gonogo {name}{' ' + arguments if arguments else ''}`\n")
        parts.append(f"{inspect.cleandoc(command.help or '')}\n")
        options = [option for option in shown if option.param_type_name == "option"]
        if options:
            parts += ["| option | meaning |", "|---|---|", *map(_option, options), ""]
    return "\n".join(parts).rstrip() + "\n"


def _argument(option: Any) -> str:
    name = option.metavar or option.name.upper()
    return name if option.required or name.startswith("[") else f"[{name}]"


def _option(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    required = " Required." if option.required else ""
    return f"| `{', '.join(option.opts)}{value}` | {option.help or ''}{required} |"


def _section(model: type[BaseModel], place: str) -> Iterator[str]:
    if place:
        yield f"## [{place}]\n\n{inspect.cleandoc(model.__doc__ or '')}\n"
    plain = {name: field for name, field in model.model_fields.items() if _nested(field) is None}
    if plain:
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        for name, field in plain.items():
            yield f"| `{name}` | {_type(field)} | {_default(field)} | {field.description or ''} |"
        yield ""
    for name, field in model.model_fields.items():
        nested = _nested(field)
        if nested is not None:
            table = ".NAME" if typing.get_origin(field.annotation) is dict else ""
            yield from _section(nested, f"{place}.{name}{table}".removeprefix("."))


def _server_section(model: type[BaseModel], place: str, *, is_listed: bool = False) -> Iterator[str]:
    """Like ``_section``, with bounds and the name in the environment, which members of lists do not have."""
    if place:
        title = f"[[{place}]]" if is_listed else f"[{place}]"
        yield f"## {title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n"
    more = ("", "") if is_listed else ("| in the environment ", "|---")
    yield f"| key | type | default | bounds {more[0]}| meaning |\n|---|---|---|---{more[1]}|---|"
    sections = []
    for name, field in model.model_fields.items():
        nested, key = _nested(field), f"{place}.{name}".removeprefix(".")
        if nested is not None:
            sections.append((nested, key, typing.get_origin(field.annotation) is tuple))
        if nested is None or sections[-1][2]:
            kind = f"list of `[[{key}]]`" if nested else _type(field)
            variable = "" if is_listed else f"`{ENV_PREFIX}{key.upper().replace('.', '__')}` | "
            told = (f"`{name}`", kind, _default(field), _bounds(field), f"{variable}{field.description}")
            yield f"| {' | '.join(told)} |"
    yield ""
    for nested, key, listed in sections:
        yield from _server_section(nested, key, is_listed=listed)


def _bounds(field: FieldInfo) -> str:
    """What a value must keep to, beside its type."""
    found = []
    for constraint in field.metadata:
        for attribute, sign in BOUND_SIGNS.items():
            bound = getattr(constraint, attribute, None)
            if bound is not None:
                found.append(f"{sign} {bound:g}" if isinstance(bound, float) else f"{sign} {bound}")
        pattern = getattr(constraint, "pattern", None)
        if pattern:
            found.append("one line" if pattern == server.ONE_LINE else f"`{pattern}`".replace("|", "\\|"))
        judge = getattr(constraint, "func", None)
        if judge is not None:
            found.append(URL_RULES[judge])
    return ", ".join(found)


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    """The section that stands under this key, if it is one or a table of them."""
    for candidate in (field.annotation, *typing.get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _type(field: FieldInfo) -> str:
    return _words(field.annotation)


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple or origin is list:
        return f"list of {_words(arguments[0])}"
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is dict:
        return "table"
    if origin is typing.Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(argument) for argument in arguments if argument is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return names.get(annotation) or getattr(annotation, "__name__", "value").lower()


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "empty"
    if field.default in ("", ()):
        return "empty"
    if isinstance(field.default, bool):
        return "`true`" if field.default else "`false`"
    return (
        f"`{field.default}`"
        if not isinstance(field.default, tuple)
        else f"`{json.dumps(list(field.default))}`"
    )


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
