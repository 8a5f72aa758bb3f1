"""The reader of the documentation notices a page that lies."""

import pytest
from page import Reader, matches, parse


def _page(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    return page


def test_a_true_page_is_read_to_its_end(tmp_path):
    text = "```text file=a/b.txt\nhello\n```\n```console\n$ cat a/b.txt\nhello\n$ false  # exit 1\n```\n"
    Reader(tmp_path).read(_page(tmp_path, text))


@pytest.mark.parametrize(
    "lie",
    ["$ true  # exit 1", "$ false", "$ echo one\ntwo", "$ printf 'a\\nb\\n'\nb\na", "$ no-such-program"],
)
def test_a_page_that_lies_is_caught(tmp_path, lie):
    with pytest.raises(AssertionError):
        Reader(tmp_path).read(_page(tmp_path, f"```console\n{lie}\n```\n"))


def test_a_background_command_that_dies_is_caught(tmp_path):
    with pytest.raises(AssertionError, match="ended with"):
        Reader(tmp_path).read(_page(tmp_path, "```console\n$ false 127.0.0.1:80 &\n```\n"))


def test_dots_stand_for_anything_within_a_line():
    assert matches(("GO … fail",), "GO  demo@1: 0 fail\n")
    assert not matches(("GO … fail",), "NO\nfail\n")


def test_blocks_in_other_languages_are_not_run():
    assert parse("```sh\n$ rm -rf nothing\n```\n") == []
