"""The fingerprint changes with what is released, and with nothing else."""

from __future__ import annotations

import os

import pytest

from gonogo.config.schema import NotApplicable, Profile, ReleaseSource, Thresholds
from gonogo.model.errors import GonogoError
from gonogo.release.fingerprint import fingerprint_of


@pytest.fixture
def fingerprint(repository, settings):
    def compute(changed=settings, version="1.2.0", repo=repository.path):
        return fingerprint_of(repo, changed, "production", repository.path / f"releases/{version}.toml")

    return compute


def _environment(settings, **changes):
    environment = settings.environments["production"].model_copy(update=changes)
    return settings.model_copy(update={"environments": {"production": environment}})


def _differing(one, other):
    parts = ("commit", "artefact", "config", "plan")
    return {part for part in parts if getattr(one, part) != getattr(other, part)}


def test_the_same_tree_has_the_same_fingerprint(fingerprint, repository):
    first = fingerprint()
    assert first == fingerprint()
    assert first.commit == repository.git("rev-parse", "HEAD")
    assert all(len(part) == 64 for part in (first.artefact, first.config, first.plan))


def test_a_commit_elsewhere_changes_the_commit_alone(fingerprint, repository):
    before = fingerprint()
    repository.write("docs/readme.md", "changed\n")
    repository.commit()
    assert _differing(before, fingerprint()) == {"commit"}


def test_a_changed_tracked_file_marks_the_commit_and_names_the_content(fingerprint, repository):
    before = fingerprint()
    repository.write("src/notes/server.py", "server = 2\n")
    dirty = fingerprint()
    assert _differing(before, dirty) == {"commit", "artefact"}
    assert dirty.commit.startswith(f"{before.commit}+dirty.")
    repository.write("src/notes/server.py", "server = 3\n")
    assert _differing(dirty, fingerprint()) == {"commit", "artefact"}
    repository.write("src/notes/server.py", "server = 1\n")
    assert fingerprint() == before, "and changing it back restores it"


def test_an_untracked_file_counts_only_where_it_could_run(fingerprint, repository):
    before = fingerprint()
    repository.write("report.html", "a report\n")
    assert fingerprint() == before
    repository.write("src/notes/injected.py", "x = 1\n")
    one = fingerprint()
    assert _differing(before, one) == {"commit"}
    repository.write("src/notes/injected.py", "x = 2\n")
    assert _differing(one, fingerprint()) == {"commit"}


def test_an_ignored_file_does_not_count(fingerprint, repository):
    repository.write(".gitignore", "__pycache__\n")
    repository.commit()
    before = fingerprint()
    repository.write("src/notes/__pycache__/server.pyc", "x\n")
    assert fingerprint() == before


def test_modes_links_renames_and_removals_of_the_artefact_count(fingerprint, repository):
    seen = [fingerprint()]

    def changed():
        repository.commit()
        seen.append(fingerprint())
        assert seen[-1].artefact not in {one.artefact for one in seen[:-1]}

    (repository.path / "src/notes/server.py").chmod(0o755)
    changed()
    (repository.path / "src/link").symlink_to("notes")
    changed()
    (repository.path / "src/link").unlink()
    (repository.path / "src/link").symlink_to("elsewhere")
    changed()
    repository.git("mv", "src/notes/server.py", "src/notes/main.py")
    changed()
    repository.write("src/other.py", "x\n")
    changed()
    (repository.path / "src/other.py").unlink()
    repository.write("src/again.py", "x\n")
    changed()


def test_the_manifests_facts_count_and_not_its_comments(fingerprint, repository):
    before = fingerprint()
    path = repository.path / "releases/1.2.0.toml"
    path.write_text("# a comment\n" + path.read_text())
    repository.commit()
    assert _differing(before, fingerprint()) == {"commit"}
    assert _differing(before, fingerprint(version="1.9.0")) == {"commit", "config"}


def test_a_manifest_with_dates_has_a_fingerprint(fingerprint, repository):
    path = repository.path / "releases/1.2.0.toml"
    path.write_text(
        path.read_text() + '\n[guest.env]\n"a.b" = "c"\n[extra]\nday = 2026-11-23\nlist = [1.5, true]\n'
    )
    assert len(fingerprint().config) == 64


def test_the_environment_counts_as_configuration_and_its_rules_as_plan(fingerprint, settings):
    before = fingerprint()
    moved = _environment(settings, base_url="http://127.0.0.1:9999")
    assert _differing(before, fingerprint(moved)) == {"config"}
    stricter = _environment(settings, thresholds=Thresholds(error_ratio=0.001))
    assert _differing(before, fingerprint(stricter)) == {"plan"}


def test_the_profiles_content_and_what_is_left_out_belong_to_the_plan(fingerprint, settings):
    before = fingerprint()

    def with_profile(*checks):
        return _environment(settings, profile="demo").model_copy(
            update={"profiles": {"demo": Profile(reason="r", checks=checks)}}
        )

    one, two = fingerprint(with_profile("tls.*")), fingerprint(with_profile("tls.*", "auth.*"))
    assert _differing(before, one) == _differing(one, two) == {"plan"}
    entry = NotApplicable(reason="r", by="ada", until="2026-12-31")
    left_out = settings.model_copy(update={"not_applicable": {"slack": entry}})
    assert _differing(before, fingerprint(left_out)) == {"plan"}


def test_an_artefact_without_a_tracked_file_is_refused(fingerprint, settings):
    nothing = settings.model_copy(update={"release": ReleaseSource(artefact=("lib",))})
    with pytest.raises(GonogoError) as refused:
        fingerprint(nothing)
    assert refused.value.error_id == "release.empty-artefact"


def test_an_unknown_environment_is_answered_with_the_known_ones(repository, settings):
    with pytest.raises(GonogoError) as refused:
        fingerprint_of(repository.path, settings, "prod", repository.path / "releases/1.2.0.toml")
    assert refused.value.error_id == "release.unknown-environment"
    assert "production" in refused.value.message


def test_a_service_in_a_folder_of_a_larger_repository_has_its_own_artefact(repository, settings):
    repository.write("services/notes/src/app.py", "x = 1\n")
    repository.write("services/notes/releases/1.0.0.toml", 'version = "1.0.0"\n[guest]\ntarget = "a:b"\n')
    repository.commit()
    folder = repository.path / "services/notes"

    def compute():
        return fingerprint_of(folder, settings, "production", folder / "releases/1.0.0.toml")

    before = compute()
    repository.write("services/notes/src/app.py", "x = 2\n")
    dirty = compute()
    assert _differing(before, dirty) == {"commit", "artefact"}
    repository.write("services/notes/src/app.py", "x = 1\n")
    repository.write("services/notes/src/new.py", "x = 1\n")
    one = compute()
    repository.write("services/notes/src/new.py", "x = 2\n")
    assert _differing(before, one) == _differing(one, compute()) == {"commit"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(fingerprint, repository):
    (repository.path / "releases/1.2.0.toml").chmod(0)
    with pytest.raises(GonogoError) as refused:
        fingerprint()
    assert refused.value.error_id == "release.unreadable-file"
    assert "releases/1.2.0.toml" in refused.value.message
