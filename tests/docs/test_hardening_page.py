"""Each protection that the hardening guide promises names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/operating/hardening.md"
TESTS = (ROOT / "erlmcp/tests", ROOT / "tests")
NAMED = re.compile(r"`([\w/]+)::(test_\w+)`")
ROW = re.compile(r"^\| (?!-)(?!attempt|what it does).*$", re.MULTILINE)


def missing(text):
    """What the text names and no file of tests has."""
    found = []
    for file, name in NAMED.findall(text):
        texts = [path.read_text("utf-8") for path in (f / f"{file}.py" for f in TESTS) if path.is_file()]
        if not any(re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE) for text in texts):
            found.append(f"{file}::{name}")
    return found


def bare_rows(text):
    """Rows of its tables that name no test."""
    return [row for row in ROW.findall(text) if not row.startswith("|---") and not NAMED.search(row)]


def test_every_test_that_the_guide_names_exists():
    text = PAGE.read_text("utf-8")
    assert missing(text) == []
    assert len(NAMED.findall(text)) > 40


def test_every_row_names_a_test():
    assert bare_rows(PAGE.read_text("utf-8")) == []


def test_a_test_that_is_gone_and_a_promise_without_one_are_seen():
    assert missing(
        "`edge/test_rate_limit::test_off_it_never_refuses` `edge/test_rate_limit::test_no_such`"
    ) == ["edge/test_rate_limit::test_no_such"]
    assert bare_rows("| attempt | x | test |\n|---|---|---|\n| a | b | c |\n| a | b | `x::test_y` |") == [
        "| a | b | c |"
    ]
