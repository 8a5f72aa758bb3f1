"""Every error id in the code has a page, every page an id in the code; the references are up to date."""

from __future__ import annotations

import error_ids
import pytest
import reference

RAISED = error_ids.raised()


def test_every_error_id_has_a_page():
    assert [name for name in RAISED if not (error_ids.PAGES / f"{name}.md").is_file()] == []


def test_every_page_belongs_to_an_error_id():
    pages = {page.stem for page in error_ids.PAGES.glob("*.md")} - {"README"}
    assert sorted(pages - RAISED.keys()) == []


@pytest.mark.parametrize("name", RAISED)
def test_a_page_says_what_why_and_what_to_do(name):
    page = error_ids.PAGES / f"{name}.md"
    if not page.is_file():
        pytest.fail("no page; write one, then run scripts/error_ids.py")
    text = page.read_text("utf-8")
    assert text.startswith(f"# {name}\n\n")
    assert "**Why it happens.**" in text
    assert "**What to do.**" in text


def test_the_index_lists_every_page():
    assert (error_ids.PAGES / "README.md").read_text("utf-8") == error_ids.index()


def test_the_collector_sees_each_way_of_raising():
    source = """
raise GonogoError("a.one", "x")
raise module.HttpError("a.two", "x")
class E(GonogoError):
    def __init__(self): super().__init__("a.three", "x")
self._refuse("a.four", "x", "y")
{"id": "a.five", "message": "x"}
log.info("a.six")
{"id": "a.seven"}
"""
    assert sorted(error_ids.ids_in(source)) == ["a.five", "a.four", "a.one", "a.three", "a.two"]


@pytest.mark.parametrize("name", ["gonogo-toml.md", "cli.md"])
def test_a_reference_page_is_what_the_program_says(name):
    assert (reference.FOLDER / name).read_text("utf-8") == reference.pages()[name], "run scripts/reference.py"


def test_every_key_of_the_configuration_says_what_it_means():
    without = [
        line
        for line in reference.configuration().splitlines()
        if line.startswith("| `") and line.rstrip().endswith("|  |")
    ]
    assert without == []
