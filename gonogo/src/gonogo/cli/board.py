"""The board in a terminal.

What fails or could not be told stands in full; what passes is short; what has no check yet and what the
profile leaves out is counted in the open, so that nothing looks greener than it is. The verdict is last.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gonogo.cli import screen
from gonogo.model.finding import Answer
from gonogo.model.requirement import Kind
from gonogo.report.board import Board, Place, Row, Section, counted

SHOWN_UNBUILT = 5
ALIKE_MIN = 3
ID_WIDTH_MIN = 20
_BY_PEOPLE = frozenset({Kind.ASSISTED, Kind.ATTEST})
_SAID_OR_ROLLED = _BY_PEOPLE | {Kind.DERIVED}
_IN_FULL = frozenset({Answer.FAIL, Answer.UNKNOWN, Answer.WARN})


def print_board(board: Board, console: Console) -> None:
    """The whole board, the verdict and the next step."""
    screen.print_tight(board_view(board), console)


def board_view(board: Board) -> RenderableType:
    """What ``print_board`` prints."""
    parts: list[RenderableType] = [header(board)]
    width = _id_width(board.rows)
    for section in board.sections(Place.BLOCKING, Place.GATED, Place.WAIVED):
        parts += [Text(), _section(section, width)]
    return Group(
        *parts, Text(), _not_in_gate(board, width), Text(), verdict_line(board), screen.next_line(board.next)
    )


def header(board: Board) -> Text:
    """What was checked, where, and which subset counts."""
    line = Text.assemble(
        (board.name, "bold"),
        f" → {board.environment}",
        (f"  commit {_short_commit(board.commit)}  fingerprint {board.fingerprint[:12]}", "dim"),
    )
    if board.elapsed_s is not None:
        line.append(f"  {screen.seconds(board.elapsed_s)}", style="dim")
    gated = sum(row.place is not Place.OUTSIDE for row in board.rows)
    line.append(f"\nprofile {board.profile}: {gated} of {len(board.rows)} requirements count")
    line.append(f"; {board.profile_reason}" if board.profile_reason else "")
    if not board.configured:
        line.append(
            "\nno gonogo.toml: defaults are used, and what needs to be told is unknown", style="yellow"
        )
    return line


def verdict_line(board: Board) -> Text:
    """``NO-GO  notes@1.4.0: 1 fail, 1 unknown``."""
    blocking = [row for row in board.rows if row.place is Place.BLOCKING]
    waived = sum(row.place is Place.WAIVED for row in board.rows)
    passed = sum(row.place is Place.GATED and row.answer in {Answer.PASS, Answer.WARN} for row in board.rows)
    text = counted(blocking) if blocking else f"{passed} pass"
    if waived:
        text += f", {waived} waived"
    return Text.assemble(
        (board.verdict.value, screen.VERDICT_STYLE[board.verdict]), f"  {board.name}: {text}"
    )


def _section(section: Section, width: int) -> RenderableType:
    title = Text.assemble((section.number, "bold"), " ", (section.title, "bold"))
    parts: list[RenderableType] = [title]
    loud = [row for row in section.rows if row.built and row.answer in _IN_FULL]
    own = [row for row in loud if row.kind is not Kind.DERIVED]
    groups = _alike(own)
    single = [row for row in own if row.reason not in groups]
    if single:
        parts.append(_in_full(single, width))
    for rows in groups.values():
        label = screen.answer_text(rows[0].answer).append(f" {len(rows)} {rows[0].reason}:", style="default")
        parts.append(_compact(label, [row.id for row in rows], below=True))
    rolled = [row for row in loud if row.kind is Kind.DERIVED]
    for answer in (Answer.FAIL, Answer.UNKNOWN, Answer.WARN):
        ids = [row.id for row in rolled if row.answer is answer]
        if ids:
            parts.append(_compact(screen.answer_text(answer).append(" roll-up", style="dim"), ids))
    for answer in (Answer.PASS, Answer.NOT_APPLICABLE):
        ids = [row.id for row in section.rows if row.built and row.answer is answer]
        if ids:
            parts.append(_compact(screen.answer_text(answer), ids))
    unbuilt = [row.id for row in section.rows if not row.built]
    if unbuilt:
        label = screen.answer_text(Answer.UNKNOWN).append(f" {len(unbuilt)} not built", style="magenta")
        parts.append(_compact(label, unbuilt, most=SHOWN_UNBUILT))
    return Group(*parts)


def _alike(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows that say the very same thing, where there are several: said once for all of them."""
    by_reason: dict[str, list[Row]] = {}
    for row in rows:
        by_reason.setdefault(row.reason, []).append(row)
    return {reason: same for reason, same in by_reason.items() if len(same) >= ALIKE_MIN}


def _id_width(rows: Iterable[Row]) -> int:
    """One width for all sections, so that reasons stand below each other."""
    shown = [
        len(row.id)
        for row in rows
        if row.built and row.answer in _IN_FULL and row.kind not in _SAID_OR_ROLLED
    ]
    return max([ID_WIDTH_MIN, *shown])


def _in_full(rows: Iterable[Row], width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column()
    for row in sorted(rows, key=lambda row: row.answer is not Answer.FAIL):
        table.add_row(screen.answer_text(row.answer), _identity(row), _reason(row))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _identity(row: Row) -> Text:
    return Text.assemble((row.id, "bold"), (" (waived)" if row.place is Place.WAIVED else "", "yellow"))


def _reason(row: Row) -> Text:
    line = Text(row.reason)
    if row.subject and row.subject not in row.reason:
        line.append(f"  {row.subject}", style="cyan")
    if row.evidence:
        line.append(f"  ({', '.join(row.evidence)})", style="dim")
    if row.hint and row.place is not Place.OUTSIDE:
        line.append(f"\nhelp: {row.hint}", style="dim")
    return line


def _compact(label: Text, ids: list[str], *, most: int = 400, below: bool = False) -> RenderableType:
    """Many ids in little room; what does not fit is counted."""
    more = f"  and {len(ids) - most} more" if len(ids) > most else ""
    names = Text("  ".join(ids[:most]) + more, style="dim")
    if below:
        return Padding(Group(label, Padding(names, (0, 0, 0, 12))), (0, 0, 0, 2))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row(label, names)
    return Padding(table, (0, 0, 0, 2), expand=False)


def _not_in_gate(board: Board, width: int) -> RenderableType:
    outside = [row for row in board.rows if row.place is Place.OUTSIDE]
    if not outside:
        return Text("outside the profile: nothing", style="dim")
    lines: list[RenderableType] = [
        Text.assemble(
            ("outside the profile", "bold"),
            f" (shown, not counted): {len(outside)} requirements: {counted(outside)}",
        )
    ]
    measured = [row for row in outside if row.built and row.kind not in _SAID_OR_ROLLED]
    failed = [row for row in measured if row.answer in {Answer.FAIL, Answer.WARN}]
    if failed:
        lines.append(_in_full(failed, width))
    untold = [row.id for row in measured if row.answer is Answer.UNKNOWN]
    if untold:
        lines.append(_compact(screen.answer_text(Answer.UNKNOWN), untold))
    silent = [row.id for row in outside if row.kind in _BY_PEOPLE and row.answer is not Answer.PASS]
    if silent:
        label = Text(f"{len(silent)} wait for a person's word", style="dim")
        lines.append(_compact(label, silent, most=SHOWN_UNBUILT))
    return Group(*lines)


def _short_commit(commit: str) -> str:
    head, _, dirty = commit.partition("+")
    return f"{head[:10]}{' with local changes' if dirty else ''}"
