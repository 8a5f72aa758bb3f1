"""The bill of materials: valid, whole, by the lock, and the same each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from scripts import sbom  # noqa: E402 - a script of this repository

PRINTING = (
    "import sys; from scripts import sbom;"
    " print(sbom.bill(sys.argv[1], sbom.locked(sbom.LOCK.read_text())), end='')"
)
LOCK = sbom.locked(sbom.LOCK.read_text())


@pytest.mark.parametrize("name", sbom.NAMES)
def test_it_is_cyclonedx_by_the_schema(name):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.bill(name, LOCK)) is None


def test_what_is_not_cyclonedx_is_seen():
    broken = sbom.bill("gonogo", LOCK).replace('"library"', '"libary"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_every_package_stands_in_it_with_version_digests_licence_and_what_it_needs():
    found = json.loads(sbom.bill("erlmcp", LOCK))
    components = {each["name"]: each for each in found["components"]}
    assert {"mcp", "uvloop", "pydantic-core", "redis", "fastmcp", "cryptography"} <= components.keys()
    assert not {"pytest", "mypy", "gonogo", "erlmcp"} & components.keys()
    for name, each in components.items():
        version = each["version"]
        digests = LOCK[name][version]
        assert each["purl"] == f"pkg:pypi/{name}@{version}"
        (where,) = each["externalReferences"]
        assert [digest["content"] for digest in where["hashes"]] == sorted(digests)
    assert [name for name, each in components.items() if not each.get("licenses")] == []
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in found["dependencies"]}
    assert "pydantic-core" in needs["pydantic"]
    assert needs.keys() == {"erlmcp", *components}
    reached, waiting = set(), ["erlmcp"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(needs[name])
    assert reached == needs.keys(), "nothing stands in it that nobody needs"


@pytest.mark.parametrize("name", sbom.NAMES)
def test_it_is_the_same_whenever_and_wherever_it_is_made(name):
    again = subprocess.run(
        [sys.executable, "-c", PRINTING, name],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert again.stdout == sbom.bill(name, LOCK)


def test_another_lock_is_another_bill_and_another_number():
    ((version, digests),) = LOCK["msgspec"].items()
    bills = [
        json.loads(sbom.bill("erlmcp", {**LOCK, "msgspec": {version: given}}))
        for given in (digests, digests[1:])
    ]
    assert bills[0]["serialNumber"] != bills[1]["serialNumber"]


@pytest.mark.parametrize("instead", [None, {"0.0.1": ["0" * 64]}, {}])
def test_what_is_needed_and_not_locked_as_it_is_installed_is_named(instead):
    lock = {name: pin for name, pin in LOCK.items() if name != "httptools"}
    if instead is not None:
        lock["httptools"] = instead
    with pytest.raises(sbom.NotLockedError, match="httptools"):
        sbom.bill("erlmcp", lock)


def test_the_command_writes_both(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.sbom"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for line in done.stdout.split():
        assert json.loads((ROOT / line).read_text())["bomFormat"] == "CycloneDX"
