"""What is asked for when a generation is staged. Data and its checks; no I/O."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import msgspec

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.target import FORMS, parse

MAX_ENV = 256
MAX_ARGS = 256
MAX_ARGS_BYTES = 65_536

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class GenerationSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of a guest and how to run it.

    Attributes:
        target: ``module:object``, ``file.py`` with or without ``:object``, or an installed command.
        version: the label that operators see.
        python: another interpreter; empty for the master's.
        cwd: working directory; empty for the master's.
        env: variables added to the master's environment.
        config: settings that hold for this generation only, by dotted key.
        workers: processes; None for the setting ``workers``.
        args: what the guest finds in ``sys.argv`` after its own name.
        factory: what the target names is to be called and returns the server.
    """

    target: Annotated[str, msgspec.Meta(max_length=256)]
    version: Annotated[str, msgspec.Meta(max_length=128)] = "0"
    python: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    cwd: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    env: dict[str, str] = {}
    config: dict[str, Any] = {}
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    args: list[str] = []
    factory: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 over everything that was asked; equal specs have equal digests, in every release."""
        asked = msgspec.to_builtins(self)
        for later, default in (("args", []), ("factory", False)):  # came with a later release
            if asked[later] == default:
                del asked[later]
        canonical = msgspec.json.encode(asked, order="sorted")
        return hashlib.sha256(canonical).hexdigest()


def read_spec(body: bytes) -> GenerationSpec:
    """The spec of a request body.

    Raises:
        ErlmcpError: generations.bad-spec.
    """
    try:
        spec = msgspec.json.decode(body, type=GenerationSpec)
    except msgspec.MsgspecError as fault:
        raise _bad_spec(str(fault)) from fault
    return checked(spec)


def checked(spec: GenerationSpec) -> GenerationSpec:
    """The same spec, if it can be started at all.

    Raises:
        ErlmcpError: generations.bad-spec.
    """
    if parse(spec.target) is None:
        raise _bad_spec(f"target {spec.target!r} is not {FORMS}")
    if len(spec.args) > MAX_ARGS or sum(len(each.encode()) for each in spec.args) > MAX_ARGS_BYTES:
        raise _bad_spec(f"too many args, at most {MAX_ARGS} of {MAX_ARGS_BYTES} bytes together")
    if any("\0" in each for each in spec.args):
        raise _bad_spec("args hold no NUL")
    if len(spec.env) > MAX_ENV:
        raise _bad_spec(f"{len(spec.env)} variables in env, at most {MAX_ENV}")
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise _bad_spec(f"env name {name!r} or its value cannot be an environment variable")
    if "\0" in spec.python + spec.cwd:
        raise _bad_spec("python and cwd hold no NUL")
    return spec


def checked_id(generation_id: str) -> str:
    """The same id, if it may name a generation.

    Raises:
        ErlmcpError: generations.bad-id.
    """
    if not _ID.fullmatch(generation_id):
        raise ErlmcpError(
            "generations.bad-id",
            f"not an id of a generation, got {generation_id[:80]!r}; expected letters, digits, '.', '_', '-'",
            hint="use something like g2 or the release's version, at most 64 characters",
        )
    return generation_id


def _bad_spec(why: str) -> ErlmcpError:
    return ErlmcpError(
        "generations.bad-spec",
        f"the body does not describe a generation, got: {why}; expected target, version, python, cwd, env,"
        " config, workers, args, factory",
        hint='{"target": "app:server", "version": "1.1.0"} is enough',
    )
