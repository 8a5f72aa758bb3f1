"""A version is what its manifest declares; everything else is refused by name."""

from __future__ import annotations

import pytest

from gonogo.config.schema import ReleaseSource
from gonogo.model.errors import GonogoError
from gonogo.model.release import Fingerprint
from gonogo.release.manifest import known_versions, load_manifest, manifest_path, release_of


def _refused(act, *arguments) -> GonogoError:
    with pytest.raises(GonogoError) as refused:
        act(*arguments)
    return refused.value


def test_a_manifest_is_loaded_by_its_version(repository, settings):
    manifest = load_manifest(repository.path, settings, "1.2.0")
    assert (manifest.version, manifest.guest.target) == ("1.2.0", "notes.server:server")


def test_known_versions_stand_in_the_order_of_their_numbers(repository, settings):
    assert known_versions(repository.path, settings) == ("1.2.0", "1.9.0", "1.10.0")


def test_an_unknown_version_is_answered_with_the_known_ones(repository, settings):
    fault = _refused(load_manifest, repository.path, settings, "1.2.1")
    assert fault.error_id == "release.unknown-version"
    assert "1.2.0, 1.9.0, 1.10.0" in fault.message
    assert fault.hint == "did you mean 1.2.0?"
    for path in (repository.path / "releases").iterdir():
        path.unlink()
    fault = _refused(load_manifest, repository.path, settings, "1.2.1")
    assert (fault.hint, "none yet" in fault.message) == ("declare it in releases/1.2.1.toml", True)


@pytest.mark.parametrize(
    "version", ["", "../../etc/passwd", "1.0/../x", "-1", "a b", "1..0", "x" * 65, "1\n"]
)
def test_what_can_be_no_version_reads_no_file(repository, settings, version):
    assert _refused(load_manifest, repository.path, settings, version).error_id == "release.bad-version"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "Invalid value"),
        ('version = "1.2.0"', "guest"),
        ('version = "1.3.0"\n[guest]\ntarget = "a:b"', "expected '1.2.0'"),
        ('version = "1.2.0"\nextra = 1\n[guest]\ntarget = "a:b"', "extra"),
        ('version = "1.2.0"\n[guest]\ntarget = "a:b"\nenv = {a = 1}', "guest.env.a"),
        ("\x00", ""),
    ],
)
def test_a_manifest_that_is_not_valid_is_named_with_the_place(repository, settings, text, said):
    repository.write("releases/1.2.0.toml", text)
    fault = _refused(load_manifest, repository.path, settings, "1.2.0")
    assert fault.error_id == "release.bad-manifest"
    assert said in fault.message
    assert "1.2.0.toml" in fault.message


@pytest.mark.parametrize("pattern", ["releases/fixed.toml", "../{version}.toml", "/etc/{version}"])
def test_a_place_without_the_version_or_outside_the_repository_is_refused(repository, settings, pattern):
    moved = settings.model_copy(update={"release": ReleaseSource(manifest=pattern)})
    assert _refused(manifest_path, repository.path, moved, "1.2.0").error_id == "release.bad-manifest-path"


def test_manifests_may_stand_in_folders_of_their_own(repository, settings):
    repository.write("v/2.0.0/release.toml", 'version = "2.0.0"\n[guest]\ntarget = "a:b"\n')
    moved = settings.model_copy(update={"release": ReleaseSource(manifest="v/{version}/release.toml")})
    assert known_versions(repository.path, moved) == ("2.0.0",)
    assert load_manifest(repository.path, moved, "2.0.0").version == "2.0.0"


def test_a_release_carries_service_version_and_environment(settings):
    release = release_of(settings, "1.2.0", "production", Fingerprint("c", "a", "b", "d"))
    assert (release.id, release.environment) == ("rel-notes-1.2.0", "production")
