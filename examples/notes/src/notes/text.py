"""Pure functions over text: words, snippets and summaries. Equal input gives equal output everywhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from notes.model import Note

_WORD = re.compile(r"[^\W_]+")
_SNIPPET_CHARS = 120
_WORDS_SHOWN = 8
_TITLES_SHOWN = 5


def words_of(text: str) -> list[str]:
    """The words of ``text`` in order, lower-cased; runs of letters and digits."""
    return _WORD.findall(text.lower())


_DULL = frozenset(
    words_of(
        """
        a about all also an and any are as at be been but by can could did do does for from had has have he
        her his how i if in into is it its just like may more most no not of on one only or other our out
        over she should so some such than that the their them then there these they this to up us was we
        were what when where which who will with would you your
        """
    )
)


class WordCount(BaseModel):
    """What ``word_count`` answers."""

    words: int
    characters: int
    lines: int


class Summary(BaseModel):
    """What ``summarise_tag`` answers."""

    tag: str
    notes: int
    words: int
    latest_titles: list[str]
    frequent_words: list[str]


def count_words(text: str) -> WordCount:
    """Count the words, characters and lines of ``text``; no text has no lines."""
    return WordCount(words=len(words_of(text)), characters=len(text), lines=len(text.splitlines()))


def snippet(text: str, words: Sequence[str], width: int = _SNIPPET_CHARS) -> str:
    """About ``width`` characters of ``text`` around the first of ``words`` that begins a word in it."""
    starts = (
        match.start()
        for match in _WORD.finditer(text)
        if any(match.group().lower().startswith(word) for word in words)
    )
    at = next(starts, 0)
    begin = max(0, at - width // 4)
    cut = " ".join(text[begin : begin + width].split())
    return ("…" if begin else "") + cut + ("…" if begin + width < len(text) else "")


def summarise(tag: str, notes: Iterable[Note]) -> Summary:
    """Describe the notes of one tag by counting; ``notes`` come newest first."""
    titles: list[str] = []
    frequency: Counter[str] = Counter()
    words = number = 0
    for note in notes:
        number += 1
        if len(titles) < _TITLES_SHOWN:
            titles.append(note.title)
        found = words_of(note.body)
        words += len(found)
        frequency.update(word for word in found if len(word) > 2 and word not in _DULL)
    # Equal counts are put in alphabetical order, so that the summary does not depend on the order of notes.
    ranked = sorted(frequency, key=lambda word: (-frequency[word], word))
    return Summary(
        tag=tag, notes=number, words=words, latest_titles=titles, frequent_words=ranked[:_WORDS_SHOWN]
    )
