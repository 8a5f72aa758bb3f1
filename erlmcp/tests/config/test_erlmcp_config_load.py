"""The effective configuration: which source wins, what is refused, and how it says so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.load import load
from erlmcp.config.schema import Settings


def _write(folder, text):
    file = folder / "erlmcp.toml"
    file.write_text(text)
    return file


def _fault(**arguments) -> ErlmcpError:
    with pytest.raises(ErlmcpError) as caught:
        load(arguments.pop("file", None), **arguments)
    return caught.value


def test_without_any_source_every_value_is_a_default():
    shown = load().shown()
    assert shown["log.level"] == {"value": "info", "source": "default"}
    assert {each["source"] for each in shown.values()} == {"default"}


def test_each_later_source_wins_and_is_named(tmp_path):
    file = _write(tmp_path, 'workers = 2\ndrain_timeout_s = 3\n[log]\nlevel = "error"\naccess = true\n')
    effective = load(
        file,
        environ={"ERLMCP_WORKERS": "3", "ERLMCP_LOG__LEVEL": "warning"},
        flags={"workers": 4},
        generation={"log.level": "debug"},
    )
    shown = effective.shown()
    assert effective.settings.workers == 4
    assert shown["workers"] == {"value": 4, "source": "flag"}
    assert shown["log.level"] == {"value": "debug", "source": "generation"}
    assert shown["log.access"] == {"value": True, "source": "file"}
    assert shown["drain_timeout_s"]["source"] == "file"
    assert shown["mcp.path"]["source"] == "default"


def test_a_list_in_the_environment_is_separated_by_commas():
    effective = load(environ={"ERLMCP_MCP__ALLOWED_HOSTS": "a.example, b.example"})
    assert effective.settings.mcp.allowed_hosts == ("a.example", "b.example")


def test_variables_of_other_programs_and_session_keys_are_no_settings():
    assert load(environ={"HOME": "/", "ERLMCP_SESSION_KEYS": "x"}).sources == {}


def test_the_hash_depends_on_values_and_not_on_sources(tmp_path):
    same = load(_write(tmp_path, "workers = 1\n"))
    assert same.digest == load().digest
    assert same.with_values({"workers": 2}, "flag").digest != same.digest


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("worker = 1\n", "worker", "workers"),
        ("[log]\nlevle = 'info'\n", "log.levle", "log.level"),
        ("[htp]\nmax_headers = 3\n", "htp", "http"),
    ],
)
def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_name(tmp_path, text, key, near):
    fault = _fault(file=_write(tmp_path, text))
    assert fault.error_id == "config.unknown-key"
    assert repr(key) in fault.message
    assert near in fault.hint


def test_an_unknown_variable_is_refused_with_the_nearest_variable():
    fault = _fault(environ={"ERLMCP_LOG__LEVL": "info"})
    assert (fault.error_id, fault.hint) == ("config.unknown-key", "did you mean ERLMCP_LOG__LEVEL?")


@pytest.mark.parametrize(
    "arguments",
    [
        {"environ": {"ERLMCP_WORKERS": "0"}},
        {"environ": {"ERLMCP_WORKERS": "65"}},
        {"environ": {"ERLMCP_DRAIN_TIMEOUT_S": "inf"}},
        {"environ": {"ERLMCP_DRAIN_TIMEOUT_S": "nan"}},
        {"flags": {"log.level": "loud"}},
        {"generation": {"mcp.path": "no-slash"}},
        {"generation": {"mcp.allowed_hosts": "text"}},
    ],
)
def test_a_value_outside_its_bounds_is_refused(arguments):
    fault = _fault(**arguments)
    assert fault.error_id == "config.bad-value"
    assert "got" in fault.message
    assert "expected" in fault.message


@pytest.mark.parametrize("workers", ["1", "64"])
def test_a_value_at_the_edge_of_its_bounds_is_taken(workers):
    assert load(environ={"ERLMCP_WORKERS": workers}).settings.workers == int(workers)


def test_a_section_that_is_no_table_is_refused(tmp_path):
    assert _fault(file=_write(tmp_path, "log = 3\n")).error_id == "config.bad-value"


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    assert _fault(file=tmp_path / "none.toml").error_id == "config.not-found"
    assert _fault(file=_write(tmp_path, "= 1")).error_id == "config.not-toml"
    file = tmp_path / "latin.toml"
    file.write_bytes(b"\xff")
    assert _fault(file=file).error_id == "config.not-toml"


def test_every_key_of_the_schema_has_a_description():
    sections = {name for name, value in Settings() if isinstance(value, BaseModel)}
    for section in (Settings, *(type(getattr(Settings(), name)) for name in sections)):
        for name, info in section.model_fields.items():
            assert info.description or name in sections, name


@given(st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=5), max_size=3))
def test_any_overrides_are_either_taken_or_refused_as_a_fault_a_person_can_mend(overrides):
    unknown = set(overrides) - set(load().shown())
    try:
        taken = load(generation=overrides)
    except ErlmcpError as fault:
        assert fault.error_id == ("config.unknown-key" if unknown else "config.bad-value")  # noqa: PT017 - which of two ids depends on what was drawn
    else:
        assert not unknown
        assert json.dumps(taken.shown())
