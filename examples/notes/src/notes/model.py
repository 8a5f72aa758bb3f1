"""What a note is, and how large anything may be. No input or output, no clock, no randomness."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

TITLE_CHARS_MAX = 200
BODY_CHARS_MAX = 100_000  # of one note, appended text included
TEXT_CHARS_MAX = 20_000  # of one call
QUERY_CHARS_MAX = 200
QUERY_WORDS_MAX = 16
TAGS_MAX = 10
HITS_MAX = 50
NOTES_MAX = 100_000
ID_PATTERN = r"^n-[0-9a-f]{16}$"
TAG_PATTERN = r"^[a-z0-9][a-z0-9-]{0,39}$"

Title = Annotated[
    str, Field(min_length=1, max_length=TITLE_CHARS_MAX, description="One line, 1 to 200 characters.")
]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX, description="At most 20,000 characters.")]
NoteId = Annotated[str, Field(pattern=ID_PATTERN, description="Id of a note, such as n-0123456789abcdef.")]
Tag = Annotated[
    str, Field(pattern=TAG_PATTERN, description="Lower-case letters, digits, hyphens; 1 to 40 characters.")
]
Tags = Annotated[list[Tag], Field(max_length=TAGS_MAX, description="At most 10 tags.")]
Query = Annotated[
    str, Field(min_length=1, max_length=QUERY_CHARS_MAX, description="Words that must all occur.")
]
HitLimit = Annotated[int, Field(ge=1, le=HITS_MAX, description="At most this many hits, 1 to 50.")]


class Note(BaseModel):
    """One note. ``revision`` counts its changes from 1; times are UTC in ISO 8601."""

    id: str
    title: str
    body: str
    tags: list[str]
    revision: int
    created_at: str
    updated_at: str


class NoteHead(BaseModel):
    """A note without its body, as lists show it."""

    id: str
    title: str
    tags: list[str]
    revision: int
    updated_at: str


class TagCount(BaseModel):
    """How many notes carry a tag."""

    tag: str
    notes: int


class NoteError(Exception):
    """Something that the caller can mend; its sentence says how."""


class NoteNotFoundError(NoteError):
    """There is no note with that id."""


class NoteTooLargeError(NoteError):
    """The note, or the notebook, is full."""
