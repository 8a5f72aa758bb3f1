"""``gonogo deploy``.

The deployment runs in a process of its own. This one follows it: Ctrl-C or a closed terminal ends the
following, never the deployment.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from subprocess import Popen
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.acts.desk import Desk
from gonogo.cli import detach, faults, options, screen
from gonogo.cli.ending import print_ending
from gonogo.cli.steps import Steps
from gonogo.deploy.progress import ProgressEvent
from gonogo.model.errors import GonogoError

DETACHED = 3


def deploy(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A version with a manifest.")],
    environment: options.Environment = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish a deployment that was interrupted.")
    ] = False,
    attach: Annotated[
        bool, typer.Option("--attach", help="Follow the one that runs, or tell how it ended.")
    ] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Run in this process, for supervisors that keep it alive.")
    ] = False,
    json: options.Json = False,
    events: Annotated[Path | None, typer.Option("--events", hidden=True)] = None,
) -> int:
    """Ship a release that has GO: stage, verify, smoke, switch, drain, watch; roll back by itself."""
    folder = options.folder(context)
    with bootstrap.desk(folder, environment=environment) as desk:
        if events is not None or foreground:
            return _run(desk, version, resume=resume, json=json, events=events)
        desk.candidate(version)  # what is wrong with the request is said here, before anything is started
        run, process = (
            (_running(desk, version), None) if attach else _launch(desk, folder, version, resume=resume)
        )
    return _follow(run, process, version, json=json)


def _run(desk: Desk, version: str, *, resume: bool, json: bool, events: Path | None) -> int:
    """The deployment itself, in this process."""
    from gonogo.acts import deploying  # statistics take a second to import; only these commands pay for it

    writer = detach.Writer(events) if events is not None else None
    with Steps() as steps:

        def show(event: ProgressEvent) -> None:
            steps.show(event)
            if writer is not None:
                writer.write({"event": msgspec.to_builtins(event)})

        try:
            result = deploying.deploy(desk, version, actor=getpass.getuser(), resume=resume, progress=show)
        except GonogoError as error:
            if writer is not None:
                writer.write({"error": _facts_of(error), "exit_code": error.exit_code})
            raise
    if writer is not None:
        writer.write({"result": msgspec.to_builtins(result), "exit_code": result.exit_code})
    print_ending(result, json=json)
    return result.exit_code


def _launch(desk: Desk, folder: Path, version: str, *, resume: bool) -> tuple[detach.Run, Popen[bytes]]:
    arguments = ["-C", str(folder.resolve()), "deploy", version, "--env", desk.environment_name]
    arguments += ["--resume"] if resume else []
    return detach.launch(arguments, desk.loaded.state, _name(desk), desk.clock())


def _running(desk: Desk, version: str) -> detach.Run:
    run = detach.latest(desk.loaded.state, _name(desk))
    if run is None:
        raise GonogoError(
            "deploy.not-running",
            f"no deployment to {desk.environment_name} was started on this machine",
            hint=f"gonogo status; gonogo deploy {version} starts one",
            exit_code=1,
        )
    return run


def _follow(run: detach.Run, process: Popen[bytes] | None, version: str, *, json: bool) -> int:
    with Steps() as steps:

        def show(line: detach.Line) -> None:
            if "event" in line:
                steps.show(msgspec.convert(line["event"], ProgressEvent))

        try:
            last = detach.follow(run, show, process)
        except KeyboardInterrupt:
            return _detached(run, version)
    if "error" in last:
        raise _error_from(last["error"], int(last["exit_code"]))
    from gonogo.deploy.deployment import DeploymentResult  # as in _run

    result = msgspec.convert(last["result"], DeploymentResult)
    print_ending(result, json=json)
    return result.exit_code


def _detached(run: detach.Run, version: str) -> int:
    console = screen.err()
    console.print()
    console.print(Text.assemble(("detached: ", "bold"), f"the deployment goes on in process {run.pid}"))
    console.print(f"  attach:    gonogo deploy {version} --attach")
    console.print('  roll back: gonogo rollback --reason "..."')
    return DETACHED


def _name(desk: Desk) -> str:
    return f"deploy-{desk.environment_name}"


def _facts_of(error: GonogoError) -> dict[str, Any]:
    return {"id": error.error_id, "message": error.message, "hint": error.hint, "note": error.note}


def _error_from(facts: dict[str, Any], exit_code: int) -> GonogoError:
    return GonogoError(
        facts["id"],
        facts["message"],
        hint=facts["hint"],
        note=facts["note"],
        exit_code=exit_code or faults.FAILED,
    )
