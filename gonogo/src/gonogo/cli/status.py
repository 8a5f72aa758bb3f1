"""``gonogo status``."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gonogo import bootstrap
from gonogo.acts.status import Status
from gonogo.acts.status import status as look
from gonogo.cli import options, screen
from gonogo.deploy.ledger import DeploymentRecord, Ending

MANY_STALE = 6


def status(
    context: typer.Context,
    version: options.Version = None,
    environment: options.Environment = None,
    json: options.Json = False,
) -> int:
    """Show what serves, what runs, what waits for somebody and what went stale."""
    with bootstrap.desk(options.folder(context), environment=environment) as desk:
        seen = look(desk, version)
    if json:
        screen.print_json(_document(seen))
    else:
        _show(seen, screen.out())
    return 0


def _show(seen: Status, console: Console) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    table.add_row("environment", seen.environment)
    table.add_row("serving", _serving(seen))
    table.add_row("deployment", _deployment(seen.deployment, seen.holder))
    table.add_row("candidate", _candidate(seen))
    table.add_row("waivers", _waivers(seen))
    table.add_row("stale", _stale(seen))
    screen.print_tight(table, console)
    console.print(screen.next_line(_next(seen)))


def _serving(seen: Status) -> Text:
    if seen.no_answer:
        last = f"; the record says {seen.recorded.version}" if seen.recorded else ""
        return Text.assemble(("? unknown", "magenta"), f"  {seen.no_answer}{last}")
    line = Text(f"{seen.serving} (generation {seen.generation})")
    if seen.recorded and seen.recorded.version != seen.serving:
        line.append(f"; the record says {seen.recorded.version}", style="yellow")
    return line


def _deployment(record: DeploymentRecord | None, holder: str) -> RenderableType:
    if record is None:
        return "none yet"
    began = f"{record.id}, begun {record.started_at:%Y-%m-%d %H:%M:%S} UTC by {record.actor}"
    if record.ending is None:
        step = next(reversed(record.attempts), "start")
        if holder:
            return Text.assemble(
                (f"running {record.version}", "bold cyan"), f", step {step}, by {holder}; {began}"
            )
        return Text.assemble((f"interrupted {record.version}", "bold red"), f" in step {step}; {began}")
    style = {Ending.DONE: "green", Ending.WAITING: "bold magenta"}.get(record.ending, "yellow")
    return Text.assemble((f"{record.ending.value} {record.version}", style), f"; {began}")


def _candidate(seen: Status) -> Text:
    if seen.release is None or seen.gate is None:
        return Text(f"none: {seen.problem}", style="dim")
    gate = seen.gate
    blocking = f", {len(gate.blocking)} blocking" if gate.blocking else ""
    return Text.assemble(
        (gate.verdict.value, screen.VERDICT_STYLE[gate.verdict]),
        f"  {seen.release.service}@{seen.release.version}{blocking}, profile {gate.profile}, "
        f"fingerprint {gate.fingerprint[:12]}",
    )


def _waivers(seen: Status) -> str:
    open_ones = [
        f"{w.check_id} until {w.ends_at:%Y-%m-%d %H:%M} ({w.owner}: {w.reason})" for w in seen.waivers
    ]
    return "\n".join(open_ones) or "none"


def _stale(seen: Status) -> str:
    if not seen.stale:
        return "nothing"
    more = f" and {len(seen.stale) - MANY_STALE} more" if len(seen.stale) > MANY_STALE else ""
    return f"{len(seen.stale)}: {', '.join(seen.stale[:MANY_STALE])}{more}"


def _next(seen: Status) -> str:
    record = seen.deployment
    if record is not None and record.ending is None:
        return f"gonogo deploy {record.version} {'--attach' if seen.holder else '--resume'}"
    if record is not None and record.ending is Ending.WAITING:
        return 'gonogo decide accept --as PERSON --reason "..."'
    if seen.release is None:
        return "gonogo check"
    if record is not None and record.version == seen.release.version and not record.is_open:
        return f"gonogo report --version {record.version}"
    if seen.serving == seen.release.version and not seen.stale:
        return f"gonogo report --version {seen.release.version}"
    go = seen.gate is not None and seen.gate.verdict.exit_code == 0
    return f"gonogo {'deploy' if go else 'check'} {seen.release.version}"


def _document(seen: Status) -> dict[str, Any]:
    record, gate, release = seen.deployment, seen.gate, seen.release
    return {
        "environment": seen.environment,
        "at": seen.at.isoformat(),
        "serving": {
            "version": seen.serving or None,
            "generation": seen.generation or None,
            "no_answer": seen.no_answer or None,
            "recorded": seen.recorded.version if seen.recorded else None,
        },
        "deployment": record
        and {
            "id": record.id,
            "version": record.version,
            "started_at": record.started_at.isoformat(),
            "actor": record.actor,
            "ending": record.ending.value if record.ending else None,
            "step": next(reversed(record.attempts), None),
            "holder": seen.holder if record.ending is None else None,
        },
        "candidate": gate
        and release
        and {
            "version": release.version,
            "verdict": gate.verdict.value,
            "fingerprint": gate.fingerprint,
            "profile": gate.profile,
            "blocking": [finding.check_id for finding in gate.blocking],
        },
        "waivers": [
            {"check_id": w.check_id, "owner": w.owner, "reason": w.reason, "ends_at": w.ends_at.isoformat()}
            for w in seen.waivers
        ],
        "stale": list(seen.stale),
        "problem": seen.problem or None,
    }
