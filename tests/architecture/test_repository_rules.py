"""Rules that no linter knows: what may never stand in the repository, and which names it avoids."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}
# Index addresses would tie the lock and the set-up to one registry.
INDEX_ADDRESS = re.compile(r"(--index-url|--extra-index-url|https?://[^\s]*/simple\b)")


def _tracked() -> list[Path]:
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in out.decode().split("\0") if name]


def index_addresses(text: str) -> list[str]:
    """Every mention of a package index in ``text``."""
    return INDEX_ADDRESS.findall(text)


def test_the_lock_pins_every_package_by_hash_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.strip())
    assert len(entries) > 50
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not index_addresses(lock)


def test_an_index_address_would_be_seen():
    assert index_addresses("--index-url " + "https://example.org" + "/simple")


def test_no_tracked_file_names_a_package_index():
    found = [
        str(path.relative_to(ROOT))
        for path in _tracked()
        if path.suffix in {".toml", ".lock", ".txt", ".sh", ".md", ".yml", ""} and path.is_file()
        if index_addresses(path.read_text(errors="replace")) and path != Path(__file__)
    ]
    assert not found


def test_no_module_has_a_name_that_says_nothing():
    found = [str(p.relative_to(ROOT)) for p in _tracked() if p.stem in FORBIDDEN_NAMES and p.suffix == ".py"]
    assert not found


def test_no_lock_that_records_addresses_is_tracked():
    assert not [p for p in _tracked() if p.name in {"uv.lock", "pylock.toml"}]


def faults_of_npm_lock(lock):
    """The packages that npm would take from an address in the lock, or without looking at a digest."""
    packages = {name: each for name, each in json.loads(lock)["packages"].items() if name}
    return [name for name, each in packages.items() if "resolved" in each or "integrity" not in each]


def test_a_lock_of_npm_holds_digests_and_no_addresses():
    locks = [path for path in _tracked() if path.name == "package-lock.json"]
    assert locks
    assert not [fault for path in locks for fault in faults_of_npm_lock(path.read_text())]


@pytest.mark.parametrize("package", [{"resolved": "x", "integrity": "sha512-x"}, {"version": "1.0.0"}])
def test_an_address_or_a_missing_digest_in_a_lock_of_npm_would_be_seen(package):
    assert faults_of_npm_lock(json.dumps({"packages": {"": {}, "node_modules/a": package}})) == [
        "node_modules/a"
    ]
