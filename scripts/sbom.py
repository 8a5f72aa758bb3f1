"""Writes what erlmcp and gonogo are made of (``make sbom``): CycloneDX 1.6, one file for each.

It follows what the installed packages say that they need, extras included, and takes versions and digests
from ``requirements.lock``: what is needed and not locked, or installed in another version, ends it. The same
lock makes the same bytes, so a bill can be compared. It says nothing of Python, nor of vulnerabilities.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
NAMES = ("erlmcp", "gonogo")
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
Lock = dict[str, dict[str, list[str]]]
"""Digests by name and version."""

_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class NotLockedError(Exception):
    """What is needed is not in the lock, or not as it is installed."""


def locked(text: str) -> Lock:
    """The digests of each version of each package of a lock; which version counts depends on the platform."""
    found: Lock = {}
    pins = list(_PIN.finditer(text))
    ends = [pin.start() for pin in pins[1:]] + [len(text)]
    for pin, end in zip(pins, ends, strict=True):
        versions = found.setdefault(canonicalize_name(pin["name"]), {})
        versions[pin["version"]] = _HASH.findall(text, pin.end(), end)
    return found


def bill(name: str, lock: Lock) -> str:
    """The bill of a distribution, JSON.

    Raises:
        NotLockedError: the sentence names the package.
    """
    root = distribution(name)
    needs = dict(_closure(root))
    components = {each: _component(each, lock) for each in needs if each != name}
    bom = Bom(components=components.values())
    bom.metadata.component = components[name] = Component(
        name=name,
        version=root.version,
        type=ComponentType.APPLICATION,
        bom_ref=name,
        purl=PackageURL("pypi", None, name, root.version),
        licenses=_licences(root),
    )
    for each, needed in needs.items():
        bom.register_dependency(components[each], [components[other] for other in sorted(needed)])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]  # when it was made is no part of what it says
    del document["serialNumber"]
    document["serialNumber"] = uuid.uuid5(_SPACE, json.dumps(document, sort_keys=True)).urn
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _closure(root: Distribution) -> Iterator[tuple[str, set[str]]]:
    """Each package that is needed here, with those that it needs itself."""
    every = set(root.metadata.get_all("Provides-Extra") or ())
    extras: dict[str, set[str]] = {canonicalize_name(root.name): every}
    found: dict[str, set[str]] = {}
    waiting = [canonicalize_name(root.name)]
    while waiting:
        name = waiting.pop()
        needed = found[name] = set()
        for text in distribution(name).requires or ():
            need = Requirement(text)
            if not _holds(need, extras[name]):
                continue
            other = canonicalize_name(need.name)
            needed.add(other)
            if other not in found or not need.extras <= extras[other]:
                extras.setdefault(other, set()).update(need.extras)
                waiting.append(other)
    yield from sorted(found.items())


def _holds(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras | {""})


def _component(name: str, lock: Lock) -> Component:
    installed = distribution(name)
    version, versions = installed.version, lock.get(name, {})
    digests = versions.get(version)
    if not digests:
        what = " and ".join(versions) or "nothing"
        raise NotLockedError(f"{name} {version} is needed, got {what} in the lock; run make lock")
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in sorted(digests)]
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name,
        version=version,
        bom_ref=name,
        purl=purl,
        licenses=_licences(installed),
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=hashes)
        ],
    )


def _licences(installed: Distribution) -> list[object]:
    """As the package says it: an expression, else its classifiers, else its own words."""
    said = installed.metadata
    if expression := said.get("License-Expression"):
        return [LicenseFactory().make_from_string(expression)]
    classifiers = said.get_all("Classifier") or ()
    classified = [each.rsplit(" :: ", 1)[1] for each in classifiers if each.startswith("License ::")]
    words = classified or [(said.get("License") or "").strip().split("\n", 1)[0]]
    return [LicenseFactory().make_with_name(each) for each in sorted(set(words)) if each]


def main() -> int:
    """Write the bills below ``build/sbom``."""
    folder = ROOT / "build/sbom"
    folder.mkdir(parents=True, exist_ok=True)
    lock = locked(LOCK.read_text())
    try:
        bills = {name: bill(name, lock) for name in NAMES}
    except NotLockedError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    for name, text in bills.items():
        (folder / f"{name}.cdx.json").write_text(text)
        print(f"build/sbom/{name}.cdx.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
