"""The files with which notes is released are read by gonogo as they stand."""

from __future__ import annotations

import pytest
from demo.workspace import ROOT

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.config.load import load
from gonogo.release.manifest import load_manifest
from notes.releases import RELEASES

NOTES = ROOT / "examples" / "notes"


def test_its_configuration_is_whole_and_demands_only_what_exists():
    settings = load(NOTES).settings
    for profile in settings.profiles.values():
        assert {row.id for row in CATALOGUE.select(profile.checks)} == set(profile.checks)
    assert settings.journeys.create is not None


@pytest.mark.parametrize("version", list(RELEASES))
def test_each_declared_release_has_a_manifest_that_chooses_it_and_logs_at_info(version):
    manifest = load_manifest(NOTES, load(NOTES).settings, version)
    assert manifest.version == version
    assert manifest.guest.env == {"NOTES_RELEASE": version}
    assert manifest.guest.config["log.level"] == "info"


def test_every_release_stands_in_the_change_log():
    headings = [line for line in (NOTES / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings == [f"## [{version}]" for version in sorted(RELEASES, reverse=True)]
