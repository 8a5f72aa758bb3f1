"""The tools. Limits stand in the argument types (``notes.model``); what the model can mend is a tool error.

A release's variations are chosen here, from the row of ``notes.releases`` that is passed in.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ToolAnnotations
from pydantic import BaseModel, Field

from notes.desk import DeskFullError, ResultDesk
from notes.model import (
    HITS_MAX,
    HitLimit,
    Note,
    NoteHead,
    NoteId,
    Query,
    Tag,
    TagCount,
    Tags,
    Text,
    Title,
)
from notes.releases import Release
from notes.text import Summary, WordCount, count_words, snippet, summarise, words_of

if TYPE_CHECKING:
    from notes.server import Notebook

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_REMOVES = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
_SUMMARY_NOTES_MAX = 1_000
_REINDEX_BATCH = 50
_REINDEX_PAUSE_S = 0.02  # leaves other writers room between two batches


class Hit(BaseModel):
    """A note that a search found. ``snippet`` is there from release 1.1.0 on."""

    id: str
    title: str
    tags: list[str]
    snippet: str | None = None


class Found(BaseModel):
    """What a search answers, best hit first. ``cursor`` is there in release 1.2.0 if more can be had."""

    hits: list[Hit]
    cursor: str | None = None


class Reindexed(BaseModel):
    """How many notes ``reindex`` went through."""

    notes: int


def register(server: MCPServer, notebook: Notebook, release: Release) -> None:
    """Give ``server`` the tools of ``release``."""
    _add_writers(server, notebook)
    _add_readers(server, notebook)
    if release.list_tags:
        _add_list_tags(server, notebook)
    if release.paged_search:
        _add_paged_search(server, notebook, release)
    else:
        _add_search(server, notebook, release)


def _add_writers(server: MCPServer, notebook: Notebook) -> None:
    @server.tool(annotations=_ADDS)
    async def create_note(title: Title, ctx: Context, body: Text = "", tags: Tags = []) -> Note:  # noqa: B006 - a schema default; never changed
        """Store a new note. Search first: if a note on the subject exists, append to it instead."""
        note = await notebook.ask(lambda store: store.create(title, body, tags))
        await ctx.notify_resources_changed()
        await _notify(ctx, note.id)
        return note

    @server.tool(annotations=_ADDS)
    async def append_to_note(note_id: NoteId, text: Text, ctx: Context) -> NoteHead:
        """Add a paragraph to the end of a note. A note holds at most 100,000 characters."""
        note = await notebook.ask(lambda store: store.append(note_id, text))
        await _notify(ctx, note.id)
        return NoteHead(**note.model_dump(include=set(NoteHead.model_fields)))

    @server.tool(annotations=_REMOVES)
    async def delete_note(note_id: NoteId, ctx: Context) -> NoteHead:
        """Remove a note for good; answers what it was."""
        gone = await notebook.ask(lambda store: store.delete(note_id))
        await ctx.notify_resources_changed()
        await _notify(ctx, note_id)
        return gone


async def _notify(ctx: Context, note_id: str) -> None:
    for uri in (f"note://{note_id}", "notes://index", "notes://tags"):
        await ctx.notify_resource_updated(uri)


def _add_readers(server: MCPServer, notebook: Notebook) -> None:
    @server.tool(annotations=_READS)
    async def word_count(
        text: Annotated[str, Field(max_length=100_000, description="At most 100,000 characters.")],
    ) -> WordCount:
        """Count the words, characters and lines of a text."""
        return count_words(text)

    @server.tool(annotations=_READS)
    async def summarise_tag(tag: Tag) -> Summary:
        """Counts, latest titles and most frequent words of the notes with a tag (the newest 1,000)."""
        notes = await notebook.ask(lambda store: store.with_tag(tag, _SUMMARY_NOTES_MAX))
        if not notes:
            raise ToolError(f"no note has the tag {tag!r}; notes://tags lists the tags there are")
        return await anyio.to_thread.run_sync(partial(summarise, tag, notes))

    @server.tool(annotations=ToolAnnotations(idempotent_hint=True, open_world_hint=False))
    async def reindex(ctx: Context) -> Reindexed:
        """Rebuild the full-text index in small batches. Takes long, reports progress, can be cancelled."""
        total = await notebook.ask(lambda store: store.count())
        batches = notebook.store.reindex(_REINDEX_BATCH)
        done = 0
        await ctx.report_progress(0, total, f"0 of {total} notes")
        while (now_done := await anyio.to_thread.run_sync(next, batches, None)) is not None:
            done = now_done
            await ctx.report_progress(done, max(total, done), f"{done} of {max(total, done)} notes")
            await anyio.sleep(_REINDEX_PAUSE_S)
        return Reindexed(notes=done)


def _add_list_tags(server: MCPServer, notebook: Notebook) -> None:
    @server.tool(annotations=_READS)
    async def list_tags() -> list[TagCount]:
        """All tags with the number of their notes."""
        return await notebook.ask(lambda store: store.tags())


def _add_search(server: MCPServer, notebook: Notebook, release: Release) -> None:
    @server.tool(annotations=_READS)
    async def search_notes(query: Query, tag: Tag | None = None, limit: HitLimit = 10) -> Found:
        """Notes that have a word beginning with each word of the query, best first; at most 16 words."""
        notes = await notebook.ask(lambda store: store.search(query, tag=tag, limit=limit))
        return Found(hits=[_hit(note, query, release) for note in notes])


def _add_paged_search(server: MCPServer, notebook: Notebook, release: Release) -> None:
    desk = ResultDesk()

    @server.tool(annotations=_READS)
    async def search_notes(
        query: Query,
        tag: Tag | None = None,
        limit: HitLimit = 10,
        cursor: Annotated[
            str | None, Field(max_length=64, description="Cursor of an earlier answer.")
        ] = None,
    ) -> Found:
        """Notes that have a word beginning with each word of the query, best first; at most 16 words."""
        if cursor is not None:
            return await _continue_search(notebook, desk, release, query, limit, cursor)
        notes = await notebook.ask(lambda store: store.search(query, tag=tag, limit=HITS_MAX))
        try:
            more = desk.put([note.id for note in notes[limit:]])
        except DeskFullError as fault:
            raise MCPError(
                INTERNAL_ERROR,
                "internal error",
                data={"release": release.version, "reason": "no search place"},
            ) from fault
        return Found(hits=[_hit(note, query, release) for note in notes[:limit]], cursor=more)


async def _continue_search(
    notebook: Notebook, desk: ResultDesk, release: Release, query: str, limit: int, cursor: str
) -> Found:
    try:
        ids, more = desk.take(cursor, limit)
    except KeyError:
        raise ToolError("the cursor is not known here, or was used up; search again without it") from None
    notes = await notebook.ask(lambda store: [store.get(note_id) for note_id in ids])
    return Found(hits=[_hit(note, query, release) for note in notes], cursor=more)


def _hit(note: Note, query: str, release: Release) -> Hit:
    shown = snippet(note.body, words_of(query)) if release.snippets else None
    return Hit(id=note.id, title=note.title, tags=note.tags, snippet=shown)
