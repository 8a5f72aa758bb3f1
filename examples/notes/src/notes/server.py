"""The MCP server: tools, resources, change notifications and a prompt over one notebook.

Decides nothing about storage (``notes.store``) or transports: whoever runs ``server`` brings those.
Handlers that touch the database leave the event loop for a thread.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp_types import Resource

from notes import releases, tools
from notes.model import NoteError, NoteNotFoundError
from notes.store import NoteStore

_T = TypeVar("_T")
_INDEX_LENGTH = 100
_LISTED_NOTES = 50
_NOTE_TYPE = "text/markdown"
_DEFAULT_DATABASE = "notes.sqlite"


class Notebook:
    """The store while the server runs; gives handlers their way to it."""

    def __init__(self, database: str, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._store: NoteStore | None = None

    @property
    def store(self) -> NoteStore:
        """The open store.

        Raises:
            RuntimeError: the server's lifespan has not begun or is over.
        """
        if self._store is None:
            raise RuntimeError("the notebook is not open: the server's lifespan has not begun")
        return self._store

    @asynccontextmanager
    async def opened(self, _server: object) -> AsyncIterator[None]:
        """The server's lifespan: opens the database and closes it."""
        self._store = await anyio.to_thread.run_sync(
            partial(NoteStore.open, self._database, clock=self._clock)
        )
        try:
            yield
        finally:
            store, self._store = self._store, None
            await anyio.to_thread.run_sync(store.close)

    async def ask(self, question: Callable[[NoteStore], _T]) -> _T:
        """Put a question to the store from a thread; its faults become tool errors that say what to do.

        Raises:
            ToolError: the caller can mend it.
        """
        try:
            return await anyio.to_thread.run_sync(question, self.store)
        except NoteError as fault:
            raise ToolError(str(fault)) from fault


class NotesServer(MCPServer):
    """An MCPServer whose resource list also names the notes that changed last."""

    def __init__(self, notebook: Notebook, release: releases.Release) -> None:
        super().__init__(
            "notes",
            title="Notes",
            version=release.version,
            instructions="Notes with tags and full-text search. Search first; append rather than duplicate.",
            lifespan=notebook.opened,
            log_level="WARNING",
        )
        self._notebook = notebook

    async def list_resources(self) -> list[Resource]:
        """The lists, then the newest notes; the same for every client."""
        heads = await anyio.to_thread.run_sync(self._notebook.store.latest, _LISTED_NOTES)
        notes = [Resource(uri=f"note://{head.id}", name=head.title, mime_type=_NOTE_TYPE) for head in heads]
        return [*await super().list_resources(), *notes]


def build(release: releases.Release, database: str, clock: Callable[[], datetime]) -> MCPServer:
    """The server of one release over one database."""
    notebook = Notebook(database, clock)
    server = NotesServer(notebook, release)
    tools.register(server, notebook, release)
    _add_resources(server, notebook)
    _add_prompt(server)
    return server


def _add_resources(server: MCPServer, notebook: Notebook) -> None:
    @server.resource("note://{note_id}", name="note", mime_type=_NOTE_TYPE)
    async def note(note_id: str) -> str:
        """One note as Markdown: title, tags, body."""
        try:
            found = await anyio.to_thread.run_sync(notebook.store.get, note_id)
        except NoteNotFoundError as fault:
            raise ResourceNotFoundError(str(fault)) from fault
        tags = " ".join(f"#{tag}" for tag in found.tags)
        return f"# {found.title}\n{tags}\n\n{found.body}"

    @server.resource("notes://index", name="index", mime_type="application/json")
    async def index() -> list[dict[str, object]]:
        """The 100 notes that changed last, without their bodies."""
        heads = await anyio.to_thread.run_sync(notebook.store.latest, _INDEX_LENGTH)
        return [head.model_dump() for head in heads]

    @server.resource("notes://tags", name="tags", mime_type="application/json")
    async def tags() -> list[dict[str, object]]:
        """All tags with the number of their notes."""
        return [count.model_dump() for count in await anyio.to_thread.run_sync(notebook.store.tags)]


def _add_prompt(server: MCPServer) -> None:
    @server.prompt(title="Weekly review")
    def weekly_review(tag: str) -> str:
        """Go through the notes of one tag and say what matters next week."""
        return (
            f"Summarise the notes tagged {tag!r} with summarise_tag, read the latest of them as note://ID, "
            "and write: what moved this week, what is stuck, and the three things to do next. "
            "Offer to append the result to a note titled 'Weekly review'."
        )


def _real_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the service's own clock; tests pass another


def from_environment() -> MCPServer:
    """The server that NOTES_RELEASE and NOTES_DATABASE describe."""
    database = os.environ.get("NOTES_DATABASE") or _DEFAULT_DATABASE
    return build(releases.chosen(os.environ), database, _real_clock)


server = from_environment()
