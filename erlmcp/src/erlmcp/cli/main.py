"""The command line: starts a server, checks a configuration, and acts on generations by hand.

It decides nothing: it reads arguments, calls the layer below, prints data to stdout and messages to stderr.
Heavy parts are imported by the command that needs them, so that each starts quickly.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from erlmcp import __version__
from erlmcp.config.errors import ErlmcpError
from erlmcp.config.injected_fault import NAMES as FAULTS

DEFAULT_HTTP = "127.0.0.1:8080"
DEFAULT_ADMIN = "127.0.0.1:9090"
DEFAULT_ISSUER = "127.0.0.1:9400"

app = typer.Typer(
    name="erlmcp",
    help="The production server for Python MCP servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Path of erlmcp.toml.")]
ControlOption = Annotated[Path, typer.Option("--control", help="The server's control socket.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the generation, such as g2.")]
TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="The MCP server: package.module:object, path/file.py:object, path/file.py, or an installed"
        " command such as mcp-server-git.",
    ),
]
GuestArguments = Annotated[
    list[str] | None, typer.Argument(metavar="-- ARGS", help="Arguments for the guest, its sys.argv.")
]
FactoryOption = Annotated[
    bool, typer.Option("--factory", help="TARGET is a function that returns the server; call it here.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def serve(
    target: TargetArgument,
    args: GuestArguments = None,
    http: Annotated[str, typer.Option(help="HOST:PORT of the MCP endpoint.")] = DEFAULT_HTTP,
    admin: Annotated[str, typer.Option(help="HOST:PORT of the pages that only read.")] = DEFAULT_ADMIN,
    tcp: Annotated[str, typer.Option(help="HOST:PORT of MCP over TCP, a JSON message a line.")] = "",
    control: Annotated[Path | None, typer.Option(help="Path of the Unix socket for the acts.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes of one generation.")] = None,
    config: ConfigOption = None,
    version_label: Annotated[str, typer.Option(help="Version that operators see.")] = "0",
    factory: FactoryOption = False,
) -> None:
    """Serve an MCP server object until SIGTERM or Ctrl-C, which drain."""
    from erlmcp.cli.serve import ServeArguments, run

    flags = {"workers": workers} if workers is not None else {}
    arguments = ServeArguments(
        target, http, tcp, admin, control, config, version_label, flags, args or (), factory
    )
    raise typer.Exit(run(arguments))


@app.command()
def stdio(
    target: TargetArgument,
    args: GuestArguments = None,
    config: ConfigOption = None,
    factory: FactoryOption = False,
) -> None:
    """Serve one client over standard input and output, until it closes the input."""
    from erlmcp.cli.stdio import StdioArguments, run

    run(StdioArguments(target, config, args or (), factory))


@app.command("check-config")
def check_config(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration and the files it names, and show every value with where it came from."""
    from erlmcp.cli.serve import check
    from erlmcp.config.load import load

    effective = load(config, environ=os.environ)
    check(effective.settings, os.environ)
    if as_json:
        _print_json({"hash": effective.digest, "values": effective.shown()})
        return
    for key, shown in effective.shown().items():
        typer.echo(f"{key} = {json.dumps(shown['value'])}  # {shown['source']}")


@app.command()
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it is good for; may be repeated.")] = None,
) -> None:
    """Make a static access token: print it, and on standard error its line for auth.tokens_file."""
    from erlmcp.edge.auth.static_tokens import new_token

    made, line = new_token(name, tuple(scope or ()))
    typer.echo(made)
    typer.echo(line, err=True)


@app.command("dev-issuer")
def dev_issuer(
    http: Annotated[str, typer.Option(help="HOST:PORT of the issuer, on this machine.")] = DEFAULT_ISSUER,
    audience: Annotated[
        str,
        typer.Option(
            help="For whom tokens are made whose client does not say; auth.resource of the configuration if"
            " not given."
        ),
    ] = "",
    opaque: Annotated[
        bool, typer.Option("--opaque", help="Tokens that must be asked about, and no JWTs.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Give everybody a token who asks, to try a server with access tokens; refuses to run in production."""
    from erlmcp.cli.dev_issuer import run

    run(http, config, audience, opaque=opaque)


@app.command()
def health(
    admin: Annotated[str, typer.Option(help="HOST:PORT of the admin listener.")] = DEFAULT_ADMIN,
    live: Annotated[
        bool, typer.Option("--live", help="Only whether it answers: it may be starting or draining.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="How long it may take, seconds.", min=0.1)] = 5.0,
) -> None:
    """Ask a running server whether it is ready; exit code 1 if not. For probes and containers."""
    from erlmcp.cli.health import look

    is_well, answer = look(admin, "/health" if live else "/ready", timeout_s=timeout)
    _print_json(answer)
    raise typer.Exit(0 if is_well else 1)


@app.command()
def version() -> None:
    """Print the release of erlmcp."""
    typer.echo(__version__)


@app.command()
def generations(control: ControlOption, as_json: JsonOption = False) -> None:
    """List the generations of a running server."""
    found = _ask(control, "GET", "/generations", timeout_s=10)
    if as_json:
        _print_json(found)
        return
    for each in found:
        line = f"{each['id']}  {each['state']}  version {each['version']}  {len(each['workers'])} workers"
        typer.echo(f"{line}  {each['error']}" if each["error"] else line)


@app.command()
def stage(
    generation_id: IdArgument,
    target: TargetArgument,
    control: ControlOption,
    args: GuestArguments = None,
    version_label: Annotated[str, typer.Option(help="Version that operators see.")] = "0",
    python: Annotated[str, typer.Option(help="Interpreter, if not the server's own.")] = "",
    cwd: Annotated[str, typer.Option(help="Working directory, if not the server's own.")] = "",
    env: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be repeated. No secrets.")] = None,
    factory: FactoryOption = False,
) -> None:
    """Start a generation that does not accept yet."""
    body = {
        "target": target,
        "version": version_label,
        "python": python,
        "cwd": cwd,
        "env": _pairs(env or []),
        "args": args or [],
        "factory": factory,
    }
    answer = _ask(control, "PUT", f"/generations/{generation_id}", body, timeout_s=600)
    typer.echo(f"{answer['id']} {answer['state']} at {answer['private_url']}")


@app.command()
def activate(generation_id: IdArgument, control: ControlOption) -> None:
    """Switch public traffic to a generation; the one before drains and stays warm."""
    answer = _ask(control, "POST", f"/generations/{generation_id}/activate", timeout_s=60)
    typer.echo(f"{answer['previous'] or '-'} → {answer['active']} in {answer['elapsed_s'] * 1000:.0f} ms")


@app.command()
def retire(generation_id: IdArgument, control: ControlOption) -> None:
    """End a generation that is not active."""
    answer = _ask(control, "DELETE", f"/generations/{generation_id}", timeout_s=600)
    typer.echo(f"{answer['id']} {answer['state']}")


@app.command()
def fault(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(FAULTS)}.")],
    control: ControlOption,
    for_s: Annotated[float, typer.Option(help="When it ends by itself, seconds from now.")] = 60.0,
    share: Annotated[float, typer.Option(help="Of the requests: errors, latency.")] = 1.0,
    seconds: Annotated[float, typer.Option(help="How long: latency, loop-block.")] = 1.0,
    memory_bytes: Annotated[int, typer.Option(help="Of each worker: memory.")] = 256 * 1024**2,
    component: Annotated[str, typer.Option(help="What /ready calls down: component-down.")] = "guest",
    end: Annotated[bool, typer.Option("--end", help="End it now.")] = False,
) -> None:
    """Inject a fault into a running server, to rehearse; refused in production."""
    if end:
        _ask(control, "DELETE", f"/faults/{name}", timeout_s=10)
        typer.echo(f"{name} ended")
        return
    body = {"for_s": for_s, "share": share, "seconds": seconds, "bytes": memory_bytes, "component": component}
    answer = _ask(control, "PUT", f"/faults/{name}", body, timeout_s=10)
    typer.echo(f"{name} for {answer['left_s']} s in {answer['workers']} workers")


@app.command("change-keys")
def change_keys(control: ControlOption) -> None:
    """Read the file of session keys again: the first key seals, sessions under any of them go on."""
    answer = _ask(control, "POST", "/session-keys/change", timeout_s=60)
    typer.echo(f"seals with {answer['keys'][0]}, opens with {', '.join(answer['keys'])}")


def main() -> None:
    """Run a command; a fault that a person can mend is printed as such."""
    try:
        status = app(standalone_mode=False)
    except ErlmcpError as fault:
        print_error(fault)
        sys.exit(fault.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as fault:
        if not hasattr(fault, "format_message") or not hasattr(fault, "exit_code"):
            raise
        typer.echo(f"error[cli.usage]: {fault.format_message()}", err=True)
        typer.echo("help: erlmcp --help", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)


def print_error(fault: ErlmcpError) -> None:
    """Print a fault on stderr; the last lines of the log come first, the hint last."""
    from erlmcp.telemetry.redaction import printable, redact

    for line in fault.log_tail:
        typer.echo(f"  | {printable(redact(line))}", err=True)
    typer.echo(printable(redact(str(fault))), err=True)
    if fault.hint:
        typer.echo(f"help: {printable(fault.hint)}", err=True)


def _ask(
    control: Path, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float
) -> Any:
    from erlmcp.cli.control import ask

    return ask(control, method, path, body, timeout_s=timeout_s)


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name:
            raise ErlmcpError(
                "cli.usage",
                f"--env is wrong, got {name!r}; expected NAME=VALUE",
                hint="--env NOTES_RELEASE=1.1.0",
            )
        pairs[name] = value
    return pairs


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
