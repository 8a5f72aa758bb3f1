"""The notebook on SQLite. ``tests/integration`` runs the same promises on PostgreSQL."""

from __future__ import annotations

import pytest

from notes.model import BODY_CHARS_MAX, NoteError, NoteNotFoundError, NoteTooLargeError
from notes.store import NoteStore


@pytest.fixture
def store(tmp_path, clock):
    opened = NoteStore.open(str(tmp_path / "notes.sqlite"), clock=clock, notes_max=50)
    yield opened
    opened.close()


def titles(notes) -> list[str]:
    return [note.title for note in notes]


def test_a_note_is_read_back_as_it_was_created(store):
    made = store.create("Plan", "Ship on Monday", ["work", "alpha", "work"])
    assert store.get(made.id) == made
    assert made.tags == ["alpha", "work"]
    assert made.revision == 1


def test_appending_adds_a_paragraph_and_counts_the_revision(store):
    made = store.create("Plan", "", [])
    store.append(made.id, "first")
    after = store.append(made.id, "second")
    assert after.body == "first\nsecond"
    assert after.revision == 3
    assert after.updated_at > made.updated_at


def test_a_note_may_be_filled_to_its_limit_and_not_one_character_more(store):
    made = store.create("Plan", "x" * (BODY_CHARS_MAX - 3), [])
    store.append(made.id, "yy")
    with pytest.raises(NoteTooLargeError, match="limit is 100000"):
        store.append(made.id, "")
    assert len(store.get(made.id).body) == BODY_CHARS_MAX


def test_the_notebook_may_be_filled_to_its_limit_and_not_one_note_more(store):
    for number in range(50):
        store.create(f"note {number}", "", [])
    with pytest.raises(NoteTooLargeError, match="delete one"):
        store.create("one more", "", [])
    assert store.count() == 50


def test_search_finds_beginnings_of_words_in_title_and_body_and_needs_them_all(store):
    store.create("Deployment plan", "roll back fast", [])
    store.create("Shopping", "plan the roll", [])
    assert titles(store.search("deploy ROLL", tag=None, limit=10)) == ["Deployment plan"]
    assert len(store.search("plan", tag=None, limit=10)) == 2
    assert store.search("eployment", tag=None, limit=10) == []


def test_search_by_tag_looks_beyond_the_first_hits(store):
    for number in range(20):
        store.create("plan", f"plan plan {number}", [])
    tagged = store.create("the plan among others", "", ["rare"])
    assert [note.id for note in store.search("plan", tag="rare", limit=1)] == [tagged.id]


@pytest.mark.parametrize("query", ["a OR", "NEAR(a b)", "x' -- ", "col:val*", "((a"])
def test_the_search_syntax_of_the_database_is_only_words(store, query):
    store.create("Plan", "a or near b x val col", [])
    assert titles(store.search(query, tag=None, limit=5)) == ["Plan"]


@pytest.mark.parametrize("query", ['"', "*", "__", "(-)"])
def test_a_query_without_a_word_is_refused(store, query):
    with pytest.raises(NoteError, match="got 0"):
        store.search(query, tag=None, limit=5)


def test_a_query_may_have_sixteen_words_and_not_seventeen(store):
    store.search("a " * 16, tag=None, limit=5)
    with pytest.raises(NoteError, match="got 17"):
        store.search("a " * 17, tag=None, limit=5)


def test_a_deleted_note_is_gone_from_everywhere(store):
    made = store.create("Plan", "unique", ["work"])
    assert store.delete(made.id).title == "Plan"
    assert store.search("unique", tag=None, limit=5) == []
    assert store.tags() == []
    for act in (store.get, store.delete, lambda note_id: store.append(note_id, "x")):
        with pytest.raises(NoteNotFoundError, match="search_notes"):
            act(made.id)


def test_tags_are_counted_and_notes_of_a_tag_come_newest_first(store):
    store.create("first", "", ["a", "b"])
    store.create("second", "", ["b"])
    assert [(count.tag, count.notes) for count in store.tags()] == [("a", 1), ("b", 2)]
    assert titles(store.with_tag("b", 10)) == ["second", "first"]
    assert titles(store.latest(1)) == ["second"]


def test_reindexing_mends_a_broken_index_and_tells_how_far_it_is(store):
    for number in range(7):
        store.create(f"note {number}", "word", [])
    with store._engine.begin() as db:
        db.exec_driver_sql("DELETE FROM notes_words")
    assert store.search("word", tag=None, limit=10) == []
    assert list(store.reindex(3)) == [3, 6, 7]
    assert len(store.search("word", tag=None, limit=10)) == 7
