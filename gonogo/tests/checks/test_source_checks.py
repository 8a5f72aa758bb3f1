"""Checks of the repository: a clean one passes, and one planted fault at a time is caught."""

import sys

import pytest
from check_world import World, committed, git, manifest_for, settings_for
from hypothesis import given
from hypothesis import strategies as st

from gonogo.checks.build import no_hardcoded_secrets
from gonogo.checks.build.lock_file_committed import entries_of
from gonogo.checks.build.no_commented_code import disabled_code
from gonogo.checks.build.no_debug_logging import debug_marks
from gonogo.checks.build.secret_scan import scan_text
from gonogo.model.finding import Answer

TILL = '"""Counts."""\n\n\ndef add(a, b):\n    return a + b\n\n\ndef odd(a):\n    return a % 2\n'
TEST_TILL = """from shop.till import add, odd


def test_add():
    assert add(1, 2) == 3


def test_odd():
    assert odd(3)
"""
CLEAN = {
    "src/shop/__init__.py": '"""A shop."""\n',
    "src/shop/till.py": TILL,
    "tests/test_till.py": TEST_TILL,
    "requirements.lock": "httpx2==2.16.2 \\\n    --hash=sha256:" + "a" * 64 + "\n",
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1.1.0"\ndependencies = ["httpx2>=2"]\n',
    "CHANGELOG.md": "# Changes\n\n## [1.1.0] - 2026-11-20\n\n- More.\n",
    "releases/1.1.0.toml": 'version = "1.1.0"\n[guest]\ntarget = "shop:server"\n',
}
TESTS = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-p",
    "no:cacheprovider",
    "--rootdir=.",
    "tests",
    "--junitxml={junit}",
    "--cov=shop",
    "--cov-report=json:{coverage}",
]  # fmt: skip - one command


@pytest.fixture
def shop(ask, tmp_path, monkeypatch):
    """The answer of one check to a small repository with some files changed; None removes one."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def answer(check_id, files=None, *, commit=True, unit_tests=TESTS, **changes):
        repo = committed(tmp_path / "shop", CLEAN)
        git(repo, "tag", "v1.1.0")
        for name, text in (files or {}).items():
            path = repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text) if text is not None else path.unlink()
        if commit and files:
            committed(repo, {})
        command = ["env", f"PYTHONPATH={repo / 'src'}", *unit_tests] if unit_tests else []
        settings = settings_for(
            commands={"unit_tests": command}, release={"artefact": ["src"], "tests_cover": ["shop"]}
        )
        world = World(repo=repo, settings=settings, manifest=manifest_for(env={}, **changes))
        return ask(world, check_id)[check_id]

    return answer


@pytest.mark.parametrize(
    "check_id",
    [
        "build.no-hardcoded-secrets",
        "build.no-debug-logging",
        "build.no-commented-code",
        "build.unit-tests-pass",
        "build.coverage-floor",
        "build.lock-file-committed",
        "config.secrets-from-environment",
        "changelog.version-updated",
    ],
)
def test_a_clean_repository_passes(shop, check_id):
    found = shop(check_id)
    assert found.answer is Answer.PASS, found
    assert found.evidence


SECRETS = {
    "AWS access key": "AKIA" + "Q3EGRZ5T7VX2M9KL",
    "GitHub token": "ghp_" + "a1B2" * 9,
    "Slack token": "xoxb-" + "123456789012-abcdefABCDEF",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\n",
    "JSON web token": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN",
    "password in an address": "postgresql://app:" + "hunter22x@db.internal/shop",
    "value of high entropy": 'api_token = "' + "9fK2mQ7xZ4bT8wR3vL6n" + '"',
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_of_each_kind_is_caught_and_never_kept_whole(shop, kind, tmp_path):
    secret = SECRETS[kind]
    found = shop("build.no-hardcoded-secrets", {"src/shop/keys.txt": f"x = 1\n{secret}\n"})
    assert found.answer is Answer.FAIL
    assert kind in found.reason
    assert "src/shop/keys.txt:2" in found.reason
    kept = b"".join(p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert secret.encode()[-12:] not in kept


def test_a_scanner_that_misses_the_planted_key_answers_nothing(shop, monkeypatch):
    monkeypatch.setattr(no_hardcoded_secrets, "scan", lambda _texts: iter(()))
    found = shop("build.no-hardcoded-secrets")
    assert found.answer is Answer.UNKNOWN
    assert "planted" in found.reason


def test_a_marked_line_with_a_reason_is_no_secret():
    line = 'token = "9fK2mQ7xZ4bT8wR3vL6n"'
    assert scan_text("a", line)
    assert not scan_text("a", line + "  # not-a-secret: a fixture of the tests")


@pytest.mark.parametrize(
    "line",
    [
        'password = "correct horse"',
        'secret_name = "projects/shop/secrets/db"',
        'token = os.environ["TOKEN"]',
        'url = "https://user:password@example.com"',
        "sha256:" + "a" * 64,
    ],
)  # fmt: skip - one list
def test_ordinary_lines_are_no_secrets(line):
    assert scan_text("a", line) == []


@given(st.text(max_size=300))
def test_any_text_can_be_scanned(text):
    for hit in scan_text("a", text):
        assert 1 <= hit.line <= text.count("\n") + 1
        assert len(hit.shown) <= 12


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("print('here')", "print()"),
        ("breakpoint()", "breakpoint()"),
        ("import pdb", "import of pdb"),
        ("import sys; sys.stderr.write('x')", "sys.stderr.write()"),
        ("x = 1  # TODO later", "TODO without an issue id"),
        ("import logging; logging.basicConfig(level=logging.DEBUG)", "logging at DEBUG"),
    ],
)
def test_a_debug_mark_in_shipped_code_is_caught(shop, line, what):
    found = shop("build.no-debug-logging", {"src/shop/more.py": f'"""More."""\n{line}\n'})
    assert found.answer is Answer.FAIL
    assert found.subject == "src/shop/more.py:2"
    assert what in found.reason


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # TODO(#12) later",
        "x = 1  # FIXME SHOP-7",
        "print('9')  # noqa: T201 - the result",
        "y = 'TODO'",
    ],
)
def test_marks_with_an_issue_or_a_reason_are_fine(line):
    assert list(debug_marks("a.py", line)) == []


def test_broken_python_in_shipped_code_is_unknown(shop):
    assert shop("build.no-debug-logging", {"src/shop/broken.py": "def (:\n"}).answer is Answer.UNKNOWN


def test_disabled_code_is_caught(shop):
    text = '"""More."""\n# total = add(1, 2)\n# if total:\n#     ship(total)\n'
    found = shop("build.no-commented-code", {"src/shop/more.py": text})
    assert found.answer is Answer.FAIL
    assert found.subject == "src/shop/more.py:2"


@pytest.mark.parametrize(
    "comment",
    [
        "# A sentence that explains.\n# Another one.",
        "# one = 1",
        "# kept as code: the format\n# a = 1\n# b = 2",
        "# see\n# below",
    ],
)
def test_ordinary_comments_are_no_code(comment):
    assert list(disabled_code(comment + "\nx = 1\n")) == []


def test_a_failing_test_is_named(shop):
    found = shop("build.unit-tests-pass", {"tests/test_bad.py": "def test_sum():\n    assert 1 == 2\n"})
    assert found.answer is Answer.FAIL
    assert "tests.test_bad.test_sum" in found.reason


def test_tests_that_are_all_skipped_do_not_pass(shop):
    skipped = "import pytest\n\npytestmark = pytest.mark.skip\n\n\ndef test_a():\n    pass\n"
    found = shop("build.unit-tests-pass", {"tests/test_till.py": skipped})
    assert found.answer is Answer.FAIL
    assert "0 executed" in found.reason


def test_a_run_without_a_report_is_unknown(shop):
    found = shop("build.unit-tests-pass", unit_tests=[sys.executable, "-c", "pass"])
    assert found.answer is Answer.UNKNOWN
    assert "JUnit" in found.reason


def test_passing_tests_with_a_failing_command_fail(shop):
    report = "<testsuite><testcase name='a'/></testsuite>"
    code = f"import sys; open(sys.argv[1], 'w').write({report!r}); sys.exit(3)"
    found = shop("build.unit-tests-pass", unit_tests=[sys.executable, "-c", code, "{junit}"])
    assert found.answer is Answer.FAIL
    assert "exit code 3" in found.reason


@pytest.mark.parametrize("report", ["", "<nothing", "<html></html>", "garbage"])
def test_a_report_that_is_not_junit_is_unknown(shop, report):
    code = f"import sys; open(sys.argv[1], 'w').write({report!r})"
    found = shop("build.unit-tests-pass", unit_tests=[sys.executable, "-c", code, "{junit}"])
    assert found.answer is Answer.UNKNOWN


def test_coverage_below_the_floor_fails(shop):
    untested = "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(20))
    found = shop("build.coverage-floor", {"src/shop/till.py": CLEAN["src/shop/till.py"] + "\n\n" + untested})
    assert found.answer is Answer.FAIL
    assert "80% required" in found.reason


def test_a_shipped_module_that_the_report_leaves_out_fails(shop):
    found = shop(
        "build.coverage-floor",
        {"src/shop/secret.py": "x = 1\n", ".coveragerc": "[run]\nomit = */secret.py\n"},
    )
    assert found.answer is Answer.FAIL
    assert found.subject == "src/shop/secret.py"


def test_no_coverage_report_is_unknown(shop):
    found = shop("build.coverage-floor", unit_tests=[a for a in TESTS if "cov-report" not in a])
    assert found.answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("files", "commit", "why"),
    [
        ({"requirements.lock": None}, True, "not tracked"),
        ({"requirements.lock": CLEAN["requirements.lock"] + "#\n"}, False, "not committed"),
        ({"requirements.lock": "httpx2==2.16.2\n"}, True, "no version and hash"),
        ({"requirements.lock": "httpx2>=2 --hash=sha256:" + "a" * 64 + "\n"}, True, "no version and hash"),
        ({"requirements.lock": "# empty\n"}, True, "pins nothing"),
        ({"pyproject.toml": '[project]\nname="shop"\ndependencies=["rich>=15"]\n'}, True, "not locked: rich"),
    ],
)
def test_a_lock_that_does_not_lock_fails(shop, files, commit, why):
    found = shop("build.lock-file-committed", files, commit=commit)
    assert found.answer is Answer.FAIL
    assert why in found.reason


def test_a_lock_entry_may_stand_on_several_lines():
    lock = "a==1 ; python_version > '3' \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
    lock += "B_c==2 --hash=sha256:22\n"
    assert entries_of(lock) == {"a": True, "b-c": True}


@pytest.mark.parametrize(
    "env",
    [
        {"DB_PASSWORD": "correct horse"},
        {"API_TOKEN": "abc"},
        {"DATABASE": "postgresql://app:geheim@db/shop"},
    ],
)
def test_a_literal_secret_in_the_manifest_fails_without_being_shown(ask, tmp_path, env):
    repo = committed(tmp_path / "r", {"gonogo.toml": "", "releases/1.1.0.toml": ""})
    world = World(repo=repo, settings=settings_for(), manifest=manifest_for(env=env))
    found = ask(world, "config.secrets-from-environment")["config.secrets-from-environment"]
    assert found.answer is Answer.FAIL
    assert next(iter(env)) in found.reason
    kept = b"".join(p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert not any(part in kept for part in (b"correct horse", b"geheim"))


@pytest.mark.parametrize(
    "env", [{"DB_PASSWORD_FILE": "/run/secrets/db"}, {"API_TOKEN": "env:API_TOKEN"}, {"LEVEL": "x"}]
)
def test_references_are_no_literal_secrets(ask, tmp_path, env):
    repo = committed(tmp_path / "r", {"gonogo.toml": "", "releases/1.1.0.toml": ""})
    world = World(repo=repo, settings=settings_for(), manifest=manifest_for(env=env))
    found = ask(world, "config.secrets-from-environment")["config.secrets-from-environment"]
    assert found.answer is Answer.PASS, found


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"pyproject.toml": '[project]\nname = "shop"\nversion = "1.0.9"\n'}, "package"),
        ({"CHANGELOG.md": "# Changes\n\n## [1.0.9]\n"}, "change log"),
        ({"CHANGELOG.md": None}, "change log"),
        ({"src/shop/new.py": "x = 1\n"}, "tag"),
    ],
)
def test_a_version_that_differs_somewhere_fails(shop, files, place):
    found = shop("changelog.version-updated", files)
    assert found.answer is Answer.FAIL
    assert found.subject == place


def test_a_change_log_that_is_ahead_of_the_release_is_fine(shop):
    ahead = CLEAN["CHANGELOG.md"].replace(
        "# Changes\n", "# Changes\n\n## [1.2.0] - unreleased\n\n- More still.\n"
    )
    found = shop("changelog.version-updated", {"CHANGELOG.md": ahead}, commit=False)
    assert found.answer is Answer.PASS, found
