"""From a target such as ``package.module:server`` to the guest's object.

What the target names may be the server, an object that holds it, a callable that makes it or a ``main()``
that runs it; without an object, a file is run as a script and a name is the command of an installed package.
Loading runs the guest's code, so it happens in workers only. Which kinds of server there are is
``erlmcp.dispatch.guest``; how a ``main()`` is kept from serving is ``erlmcp.dispatch.mains``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from erlmcp.config.target import FORMS, Target, parse
from erlmcp.dispatch.console_script import console_script
from erlmcp.dispatch.errors import GuestError, import_failed
from erlmcp.dispatch.mains import RunningMain

_HOLDERS: Final = ("server", "mcp", "app")
"""Attributes in which an object, and names in which a script, may hold its server."""
_MAKERS: Final = ("create", "make", "build", "get", "new")


@dataclass(frozen=True)
class Loaded:
    """What a target names.

    Attributes:
        found: the server, or whatever else was found there.
        main: the ``main()`` that handed the server over, to be closed after it; None if there is none.
    """

    found: Any
    main: RunningMain | None = None


async def load(
    target: str, *, is_server: Callable[[Any], bool], arguments: Sequence[str] = (), factory: bool = False
) -> Loaded:
    """The object that the target names, made by calling it if it is a callable.

    Args:
        target: where the guest is.
        is_server: says whether an object is a server already, which is never called.
        arguments: what the guest finds in ``sys.argv`` after its own name, for the life of the process.
        factory: the object is to be called here, in the thread of the loop, and returns the server.

    Raises:
        GuestError: the target is malformed, or nothing is there, or its code raised.
    """
    parsed = parse(target)
    if parsed is None:
        raise GuestError(
            "guest.bad-target",
            f"the target names nothing that can be served, got {target!r}; expected {FORMS}",
            hint="write it as package.module:server, or as path/to/file.py:server",
        )
    sys.argv[:] = [parsed.place, *arguments]
    _make_importable(os.getcwd())  # noqa: PTH109 - sys.path holds strings
    main = RunningMain(_called(parsed))
    try:
        with main.intercepted():
            found, runs = await _found(parsed, main, is_server, factory=factory)
    except BaseException:
        main.abandon()
        raise
    return Loaded(found, main if runs else None)


async def _found(
    target: Target, main: RunningMain, is_server: Callable[[Any], bool], *, factory: bool
) -> tuple[Any, bool]:
    """What the target names, and whether a ``main()`` is at work behind it."""

    def accept(made: Any) -> Any:
        return _server_in(made, is_server)

    if target.kind == "command":
        return await main.server(partial(_run_command, target.place), accept=accept), True
    if not target.attribute:
        script = partial(runpy.run_path, _path_of(target.place), run_name="__main__")
        return await main.server(script, accept=accept), True
    module = _load_file(target.place) if target.kind == "file" else _load_module(target.place)
    found = _attribute(module, target.attribute, _text(target))
    server = accept(found)
    if server is not None or not callable(found):
        return found if server is None else server, False
    _require_no_arguments(found, _text(target))
    if factory or _only_makes(found):
        return await _made_by(found, _text(target), accept), False
    return await main.server(found, accept=accept), True


def _called(target: Target) -> str:
    match target:
        case Target(kind="command"):
            return f"the command {target.place!r}"
        case Target(attribute=""):
            return f"the script {target.place!r}"
        case _:
            return repr(_text(target))


def _text(target: Target) -> str:
    return f"{target.place}:{target.attribute}"


def _run_command(name: str) -> Any:
    """Run the function of an installed command."""
    entry = console_script(name)
    try:
        function = entry.load()
    except (Exception, SystemExit) as fault:
        raise import_failed(entry.module, fault) from fault
    _require_no_arguments(function, entry.value)
    return function()


def _path_of(name: str) -> str:
    path = Path(name).resolve()
    if not path.is_file():
        raise GuestError(
            "guest.not-found",
            f"there is no file {name!r}",
            hint="a path counts from the folder in which the server is started",
        )
    _make_importable(str(path.parent))
    return str(path)


async def _running(called: str, function: Callable[[], Any], is_server: Callable[[Any], bool]) -> Loaded:
    main = RunningMain(called)
    try:
        found = await main.server(function, accept=lambda made: _server_in(made, is_server))
    except BaseException:
        main.abandon()
        raise
    return Loaded(found, main)


def _make_importable(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)  # noqa: TID251 - the one place where a guest is loaded
    except ModuleNotFoundError as fault:
        if fault.name and (name == fault.name or name.startswith(fault.name + ".")):
            raise GuestError(
                "guest.not-found",
                f"there is no module {fault.name!r}, got the target module {name!r}",
                hint="start in the folder that holds it, or install it where erlmcp runs",
            ) from fault
        raise import_failed(name, fault) from fault
    except (Exception, SystemExit) as fault:
        raise import_failed(name, fault) from fault


def _load_file(name: str) -> ModuleType:
    path = _path_of(name)
    spec = importlib.util.spec_from_file_location(f"erlmcp_guest_{Path(path).stem}", path)
    assert spec is not None, "a name that ends in .py has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as fault:
        raise import_failed(name, fault) from fault
    return module


def _attribute(module: ModuleType, dotted: str, target: str) -> Any:
    found: Any = module
    for name in dotted.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as fault:
            public = ", ".join(sorted(key for key in vars(module) if not key.startswith("_"))[:8])
            raise GuestError(
                "guest.not-found",
                f"{target!r} does not exist: no attribute {name!r}",
                hint=f"the module has: {public}" if public else "the module has no public names",
            ) from fault
    return found


def _server_in(found: Any, is_server: Callable[[Any], bool]) -> Any:
    """The object itself if it is a server, or the one that it (or a script's names) holds; else None.

    Raises:
        GuestError: guest.ambiguous when it holds several.
    """
    if is_server(found) or found is None:
        return found
    if isinstance(found, type):  # a class: what it declares is not what its objects hold
        return None
    held = found if isinstance(found, dict) else {name: getattr(found, name, None) for name in _HOLDERS}
    servers = {name: held[name] for name in _HOLDERS if is_server(held.get(name))}
    if len({id(each) for each in servers.values()}) > 1:
        raise GuestError(
            "guest.ambiguous",
            f"{type(found).__name__} holds several servers, got {', '.join(servers)}; expected one",
            hint="name the one that is meant, such as package.module:object.server",
        )
    return next(iter(servers.values()), None)


def _require_no_arguments(function: Any, target: str) -> None:
    """Whether it can be called as it is; parameters with defaults get these.

    Raises:
        GuestError: guest.needs-arguments.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return  # made in C, or hides its signature: calling it will tell
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        each.name
        for each in parameters
        if each.default is inspect.Parameter.empty and each.kind not in optional
    ]
    if needed:
        raise GuestError(
            "guest.needs-arguments",
            f"{target!r} cannot be called without arguments, got none for {', '.join(needed)}; expected a"
            " callable whose parameters all have defaults",
            hint="write a function without parameters that calls it, reads what it needs from the environment"
            " or sys.argv (see erlmcp serve TARGET -- ARGS), and name that",
        )


def _only_makes(function: Any) -> bool:
    """Whether a callable says by its name or its annotation that it returns the server, and so need not be
    given a thread in which it could wait."""
    if isinstance(function, type):
        return True
    name = str(getattr(function, "__name__", ""))
    returns = getattr(function, "__annotations__", {}).get("return", None)
    return name.partition("_")[0] in _MAKERS or any(kind in str(returns) for kind in ("MCPServer", "FastMCP"))


async def _made_by(factory: Any, target: str, accept: Callable[[Any], Any]) -> Any:
    try:
        made = factory()
        made = await made if inspect.isawaitable(made) else made
    except Exception as fault:
        raise GuestError(
            "guest.start-failed",
            f"calling {target!r} raised {type(fault).__name__}: {fault}",
            hint="a factory returns the server and does not run it; a function that runs it must not have a"
            " factory's name and is named without --factory",
        ) from fault
    server = accept(made)
    return made if server is None else server
