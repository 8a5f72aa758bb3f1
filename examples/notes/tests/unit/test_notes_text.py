"""The pure part: words, snippets, summaries, and the table of releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notes.model import Note
from notes.releases import NEWEST_GOOD, RELEASES, chosen
from notes.text import count_words, snippet, summarise, words_of


def note(title: str, body: str) -> Note:
    return Note(
        id="n-0000000000000000", title=title, body=body, tags=["t"], revision=1, created_at="", updated_at=""
    )


def test_a_text_with_a_known_answer_is_counted():
    assert count_words("one two\nthree 4_5").model_dump() == {"words": 5, "characters": 17, "lines": 2}


def test_no_text_has_no_words_and_no_lines():
    assert count_words("").model_dump() == {"words": 0, "characters": 0, "lines": 0}


@given(st.text(max_size=300))
def test_words_are_lower_case_runs_of_letters_and_digits(text):
    assert all(word and word == word.lower() and "_" not in word for word in words_of(text))


@given(st.text(max_size=500), st.lists(st.sampled_from(["alpha", "b", "7"]), min_size=1, max_size=3))
def test_a_snippet_is_never_much_longer_than_its_width(text, words):
    assert len(snippet(text, words)) <= 122


def test_a_snippet_shows_the_first_match_and_marks_what_was_cut():
    shown = snippet("x " * 200 + "needle in hay " + "y " * 200, ["need"])
    assert "needle in hay" in shown
    assert shown.startswith("…")
    assert shown.endswith("…")


def test_a_summary_counts_and_ranks_and_leaves_dull_words_out():
    summary = summarise("t", [note("New", "ship the release"), note("Old", "release the brakes, ship")])
    assert summary.notes == 2
    assert summary.words == 7
    assert summary.latest_titles == ["New", "Old"]
    assert summary.frequent_words == ["release", "ship", "brakes"]


def test_the_newest_good_release_runs_when_none_is_chosen():
    assert NEWEST_GOOD == "1.1.0"
    assert chosen({}).version == "1.1.0"


def test_only_the_last_release_is_declared_bad():
    assert [release.version for release in RELEASES.values() if not release.good] == ["1.2.0"]


def test_an_unknown_release_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match=r"got '9\.9\.9'; expected one of 1\.0\.0, 1\.1\.0, 1\.2\.0"):
        chosen({"NOTES_RELEASE": "9.9.9"})
