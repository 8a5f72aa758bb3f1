"""``gonogo explain``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gonogo import bootstrap
from gonogo.acts import explaining
from gonogo.acts.explaining import ErrorPage, EvidenceFacts, Explained, RequirementFacts
from gonogo.cli import options, screen
from gonogo.config.load import find
from gonogo.model.finding import Finding
from gonogo.model.requirement import Kind

FIRST_LINES = 20
FIRST_BYTES = 8192

_HOW = {
    Kind.STATIC: "measured in the repository",
    Kind.PROBE: "measured at the running service",
    Kind.EXERCISE: "tried out",
    Kind.DERIVED: "follows from others",
    Kind.ASSISTED: "a person attests it",
    Kind.ATTEST: "a role signs it",
}


def explain(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="ID", help="A requirement, an error, fi-... or ev-...")],
    environment: options.Environment = None,
    json: options.Json = False,
) -> None:
    """Tell what a requirement, an error, a finding or a piece of evidence is."""
    folder = options.folder(context)
    if find(folder) is None:
        explained = explaining.explain(None, subject)
    else:
        with bootstrap.desk(folder, environment=environment) as desk:
            explained = explaining.explain(desk, subject)
    if json:
        screen.print_json(_document(explained))
    else:
        _show(explained, screen.out())


def _show(explained: Explained, console: Console) -> None:
    match explained:
        case RequirementFacts():
            screen.print_tight(_requirement(explained), console)
        case EvidenceFacts():
            screen.print_tight(_evidence(explained), console)
        case ErrorPage():
            content = Markdown(explained.text) if console.is_terminal else explained.text.rstrip()
            console.print(content)


def _requirement(facts: RequirementFacts) -> RenderableType:
    row = facts.requirement
    table = _facts(
        ("box", f"{row.box}, requirement {row.number} of 366"),
        ("answered", f"{_HOW[row.kind]} ({row.kind.value})"),
        ("method", row.method),
        ("passes when", row.pass_when),
        ("evidence", row.evidence),
        ("applies", row.applies_when),
        ("severity", row.severity.value),
        ("check", _built(facts)),
    )
    if facts.children:
        table.add_row("rolls up", "  ".join(facts.children))
    parts: list[RenderableType] = [
        Text.assemble((row.id, "bold"), f"  {row.title}"),
        Padding(table, (0, 0, 0, 2)),
    ]
    parts.append(
        _last(facts.finding, facts.release) if facts.finding else Text("never measured here", style="dim")
    )
    if facts.finding and facts.finding.hint:
        parts.append(Text.assemble(("help: ", "bold cyan"), facts.finding.hint))
    return Group(*parts)


def _built(facts: RequirementFacts) -> Text:
    row = facts.requirement
    if facts.check_file:
        return Text(facts.check_file)
    if row.kind in {Kind.ASSISTED, Kind.ATTEST}:
        return Text("built: a signed word answers it")
    if facts.children:
        return Text("built: the worst of what it rolls up")
    return Text("not built: unknown until somebody builds it", style="magenta")


def _last(finding: Finding, release: str) -> RenderableType:
    line = Text("last: ", style="bold").append_text(screen.answer_text(finding.answer))
    line.append(f" {finding.reason}", style="default")
    line.append(
        f"\n      {finding.subject}, {release}, {finding.measured_at:%Y-%m-%d %H:%M:%S} UTC", style="dim"
    )
    for evidence in finding.evidence:
        line.append(f"\n      gonogo explain {evidence}", style="dim")
    return line


def _evidence(facts: EvidenceFacts) -> RenderableType:
    evidence = facts.evidence
    table = _facts(
        ("source", evidence.source),
        ("read", f"{evidence.read_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("digest", f"{evidence.digest} (verified now)"),
        ("size", f"{evidence.size} bytes, {evidence.media_type}"),
    )
    return Group(
        Text(evidence.id, style="bold"), Padding(table, (0, 0, 0, 2)), Text(_first_lines(facts.body))
    )


def _first_lines(body: bytes) -> str:
    text = body[:FIRST_BYTES].decode("utf-8", "replace")
    lines = ["".join(c if c.isprintable() or c == "\t" else "�" for c in line) for line in text.splitlines()]
    more = len(body) > FIRST_BYTES or len(lines) > FIRST_LINES
    return "\n".join(lines[:FIRST_LINES]) + ("\n…" if more else "")


def _facts(*rows: tuple[str, str | Text]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    return table


def _document(explained: Explained) -> dict[str, Any]:
    match explained:
        case EvidenceFacts():
            facts = msgspec.to_builtins(explained.evidence)
            return {"kind": "evidence", **facts, "first_lines": _first_lines(explained.body)}
        case ErrorPage():
            return {"kind": "error", "id": explained.error_id, "text": explained.text}
        case RequirementFacts():
            return {"kind": "requirement", **msgspec.to_builtins(explained)}
