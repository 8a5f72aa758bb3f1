"""Reading gonogo.toml: what is right is read, what is wrong is named with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.config import load as loading
from gonogo.config.load import environment_named, load
from gonogo.model.errors import GonogoError

GOOD = """\
[service]
name = "notes"

[people.ada]
name = "Ada"
email = "ada@example.com"
phone = "+44 20 7946 0000"

[environments.production]
base_url = "http://127.0.0.1:1"
admin_url = "http://127.0.0.1:2"
"""


def write(folder: Path, text: str) -> Path:
    (folder / "gonogo.toml").write_text(text, "utf-8")
    return folder


def fault(folder: Path, text: str) -> GonogoError:
    with pytest.raises(GonogoError) as caught:
        load(write(folder, text))
    return caught.value


def test_it_is_found_from_a_folder_below(tmp_path):
    write(tmp_path, GOOD)
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    loaded = load(below)
    assert loaded.settings.service.name == "notes"
    assert loaded.repo == tmp_path.resolve()
    assert loaded.state == tmp_path.resolve() / ".gonogo"


def test_the_search_stops_at_the_repository(tmp_path):
    write(tmp_path, GOOD)
    inner = tmp_path / "inner"
    (inner / ".git").mkdir(parents=True)
    with pytest.raises(GonogoError) as caught:
        load(inner)
    assert caught.value.error_id == "config.not-found"
    assert caught.value.hint == "gonogo init"


def test_broken_toml_is_told_by_line_and_column(tmp_path):
    error = fault(tmp_path, '[service]\nname = "notes\n')
    assert error.error_id == "config.not-toml"
    assert "line 2, column 14" in error.message
    assert error.hint.endswith("gonogo.toml:2:14")


def test_a_file_that_ends_too_early_has_a_position_too(tmp_path):
    error = fault(tmp_path, "[service]\nname =")
    assert error.error_id == "config.not-toml"
    assert "line 2, column" in error.message


def test_bytes_that_are_not_text_have_a_position(tmp_path):
    (tmp_path / "gonogo.toml").write_bytes(b'[service]\nname = "\xff"\n')
    with pytest.raises(GonogoError, match="line 2, column 9: not UTF-8") as caught:
        load(tmp_path)
    assert caught.value.error_id == "config.not-toml"


def test_an_unknown_key_is_answered_with_the_nearest_one(tmp_path):
    error = fault(tmp_path, GOOD + "[environments.production.thresholds]\nwatch = 3\n")
    assert error.error_id == "config.unknown-key"
    assert "environments.production.thresholds.watch" in error.message
    assert error.hint == "did you mean watch_s?"


def test_an_unknown_section_is_an_unknown_key(tmp_path):
    error = fault(tmp_path, GOOD + "[enviroments.staging]\n")
    assert (error.error_id, error.hint) == ("config.unknown-key", "did you mean environments?")


def test_a_missing_key_says_where_it_belongs_and_what_it_means(tmp_path):
    error = fault(tmp_path, GOOD.replace('admin_url = "http://127.0.0.1:2"', ""))
    assert error.error_id == "config.missing-key"
    assert "environments.production.admin_url is missing" in error.message
    assert "read-only admin listener" in error.message
    assert error.hint == "add admin_url to [environments.production] in gonogo.toml"


def test_a_wrong_value_is_shown_with_what_was_expected(tmp_path):
    error = fault(tmp_path, GOOD + '[environments.production.thresholds]\nwatch_s = "long"\n')
    assert error.error_id == "config.bad-value"
    assert "got 'long'" in error.message
    assert "number" in error.message


def test_other_faults_are_named_in_the_note(tmp_path):
    error = fault(tmp_path, GOOD.replace('name = "notes"', 'name = "Not A Name"\nkid = 1'))
    assert error.error_id == "config.unknown-key"
    assert error.note == "also wrong: service.name"


def test_a_profile_that_is_not_there_is_named(tmp_path):
    error = fault(tmp_path, GOOD + 'profile = "frist"\n[profiles.first]\nreason = "r"\nchecks = []\n')
    assert error.error_id == "config.unknown-profile"
    assert error.hint == 'did you mean "first"?'


def test_a_scope_decision_needs_a_person_of_the_roster(tmp_path):
    error = fault(
        tmp_path, GOOD + '[not_applicable.image]\nreason = "r"\nby = "adda"\nuntil = "2027-01-01"\n'
    )
    assert error.error_id == "config.unknown-person"
    assert error.hint == "did you mean ada?"


def test_a_scope_decision_ends_on_a_day(tmp_path):
    error = fault(tmp_path, GOOD + '[not_applicable.image]\nreason = "r"\nby = "ada"\nuntil = "never"\n')
    assert error.error_id == "config.bad-value"


def test_a_file_of_the_largest_size_is_read_and_one_byte_more_is_not(tmp_path):
    room = loading.MAX_FILE_BYTES - len(GOOD.encode())
    write(tmp_path, GOOD + "#" * room)
    load(tmp_path)
    assert fault(tmp_path, GOOD + "#" * (room + 1)).error_id == "config.not-toml"


def test_a_folder_in_place_of_the_manifest_is_unreadable_not_a_crash(tmp_path):
    loaded = load(write(tmp_path, GOOD))
    with pytest.raises(GonogoError) as caught:
        loading.read_model(tmp_path, type(loaded.settings))
    assert caught.value.error_id == "config.unreadable"


def test_the_only_environment_is_the_default(tmp_path):
    loaded = load(write(tmp_path, GOOD.replace("environments.production", "environments.test")))
    assert environment_named(loaded, None)[0] == "test"


def test_production_is_the_default_of_several(tmp_path):
    staging = '[environments.staging]\nbase_url = "http://a"\nadmin_url = "http://b"\n'
    loaded = load(write(tmp_path, GOOD + staging))
    assert environment_named(loaded, None)[0] == "production"
    with pytest.raises(GonogoError) as caught:
        environment_named(loaded, "stagging")
    assert caught.value.error_id == "config.unknown-environment"
    assert caught.value.hint == "--env staging"


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_in_another_way_than_a_config_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / "gonogo.toml").write_bytes(data)
    with pytest.raises(GonogoError) as caught:
        load(folder)
    assert caught.value.error_id.startswith("config.")
