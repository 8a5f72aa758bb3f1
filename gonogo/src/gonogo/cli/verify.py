"""``gonogo verify``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gonogo import bootstrap
from gonogo.cli import faults, options, screen
from gonogo.journal.bundle_verification import verify_bundle
from gonogo.journal.verification import Fault
from gonogo.model.errors import GonogoError

SHOWN_FAULTS = 20


def verify(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A file of gonogo export.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Prove that the record, or an exported bundle, was not changed since it was written."""
    if bundle is not None:
        subject, found, facts = str(bundle), verify_bundle(bundle), {}
    else:
        record = bootstrap.verify_record(options.folder(context))
        subject, found, facts = str(record.folder), record.faults, record.facts
    if json:
        screen.print_json(
            {"subject": subject, "intact": not found, **facts, "faults": [asdict(fault) for fault in found]}
        )
    else:
        _show(subject, found, facts)
    if found and not json:
        faults.show(
            GonogoError(
                "journal.altered",
                f"{subject} is not what was written: {len(found)} fault{'s' if len(found) > 1 else ''}",
                hint="restore it from a copy; an exported bundle proves which copy is true",
            )
        )
    return faults.FAILED if found else 0


def _show(subject: str, found: list[Fault], facts: dict[str, str | int]) -> None:
    console = screen.out()
    for fault in found[:SHOWN_FAULTS]:
        place = f"entry {fault.seq}" if fault.seq else "record"
        console.print(
            Text.assemble(
                ("✗ ", "bold red"), f"{place}: {fault.what}, got {fault.got}; expected {fault.expected}"
            )
        )
    if len(found) > SHOWN_FAULTS:
        console.print(f"  and {len(found) - SHOWN_FAULTS} more; --json has all")
    if not found:
        console.print(Text.assemble(("✓ intact", "bold green"), f"  {subject}"))
        for name, value in facts.items():
            console.print(f"  {name.replace('_', ' ')}: {value}")
