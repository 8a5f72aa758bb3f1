"""The reference of erlmcp.toml: current, complete, and each name in the environment really sets its key."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.keys import ENVIRONMENT_NAMES
from erlmcp.config.load import load

ROOT = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("reference", ROOT / "scripts/reference.py")
MADE = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = MADE
SPEC.loader.exec_module(MADE)
PAGE = (MADE.FOLDER / "erlmcp-toml.md").read_text("utf-8")
VARIABLES = set(re.findall(r"\| `(ERLMCP_\w+)` \|", PAGE))


def test_the_page_is_what_the_schema_says():
    assert MADE.pages()["erlmcp-toml.md"] == PAGE, "run scripts/reference.py"


def test_every_key_is_set_by_the_variable_that_the_page_tells():
    set_one_by_one = set()
    for key, value in load().values():
        for variable in VARIABLES - ENVIRONMENT_NAMES.keys():
            text = value if isinstance(value, str) else json.dumps(value)
            if variable.removeprefix("ERLMCP_").replace("__", ".").lower() == key:
                assert load(environ={variable: text}).sources == {key: "env"}
                set_one_by_one.add(key)
    assert set_one_by_one == {key for key, _ in load().values()}


def test_every_secret_of_the_environment_is_told_and_none_is_a_setting():
    assert {name for name in ENVIRONMENT_NAMES if f"| `{name}` | " in PAGE} == set(ENVIRONMENT_NAMES)
    assert load(environ=dict.fromkeys(ENVIRONMENT_NAMES, "x")).sources == {}


def test_each_key_has_a_meaning():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if re.search(r"\|\s*\|$", row)] == []


@pytest.mark.parametrize("key", ["workers", "tasks.ttl_s", "bus.timeout_s"])
def test_a_value_one_beyond_its_bounds_is_refused_and_the_bounds_are_accepted(key):
    row = next(line for line in PAGE.splitlines() if f"`ERLMCP_{key.upper().replace('.', '__')}`" in line)
    least, most = re.search(r"(?:≥|>) ([\d.]+), ≤ ([\d.]+)", row).groups()
    load(flags={key: float(most)})
    for wrong in (float(most) + 1, float(least) - 1):
        with pytest.raises(ErlmcpError, match=key):
            load(flags={key: wrong})


def test_a_key_that_is_like_no_other_leads_to_the_page():
    with pytest.raises(ErlmcpError) as told:
        load(flags={"zzzzqqqq": 1})
    named = re.match(r"\S+\.md", told.value.hint)
    assert (ROOT / named[0]).is_file()
