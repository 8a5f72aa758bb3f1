"""The documentation is true: its pages run as written and its links lead somewhere."""

import re
from pathlib import Path

import pytest
from page import Command, Reader, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#([^)\s]+))?\)")
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Commands shown for orientation: each with the file that runs it, and the words by which it does.
RUN_ELSEWHERE = {
    "make demo": ("tests/journey/test_demo.py", '"make", "demo"'),
    "make test": (".ci/run", "make --no-print-directory test"),
    "make setup": (".ci/run", "make --no-print-directory setup"),
    "make check": (".ci/run", "make --no-print-directory contracts"),
    ". .venv/bin/activate": ("tests/docs/page.py", "Path(sys.executable).parent"),
    "erlmcp serve server:mcp": ("docs/start/first-go.md", "$ erlmcp serve server:mcp"),
    "gonogo init && gonogo check": ("docs/start/first-go.md", "$ gonogo init"),
}


def _name(page):
    return str(page.relative_to(ROOT))


def broken_links(page: Path) -> list[str]:
    """Relative links of ``page`` that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    return [target for target, _ in LINK.findall(text) if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_somewhere(page):
    assert broken_links(page) == []


def test_a_link_to_nowhere_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[there](there.md) [here](page.md)")
    assert broken_links(page) == ["there.md"]


@pytest.mark.timeout(300)  # a page of commands: starts a server, runs a whole check and a deployment
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(isinstance(i, Command) for i in parse(p.read_text("utf-8")))], ids=_name
)
def test_every_command_of_the_page_does_what_the_page_says(page, tmp_path):
    reader = Reader(tmp_path)
    try:
        reader.read(page)
    finally:
        reader.stop()


@pytest.mark.parametrize("page", [p for p in PAGES if SHELL.search(p.read_text("utf-8"))], ids=_name)
def test_every_other_command_shown_is_run_somewhere(page):
    shown = [
        line.split("#")[0].strip()
        for body in SHELL.findall(page.read_text("utf-8"))
        for line in body.splitlines()
    ]
    for command in filter(None, shown):
        places = [place for start, place in RUN_ELSEWHERE.items() if command.startswith(start)]
        assert places, f"nothing runs: {command}"
        for file, words in places:
            assert words in (ROOT / file).read_text("utf-8")
