"""A bundle: one release's record in one file that proves itself without a database.

It holds the whole chain, with the bodies of this release only (the hash of an entry covers its body's
digest), the evidence, the public keys and each signed text with its signature. ``verify_bundle`` computes
everything again and needs nothing but the file. That the keys are those of the people named is for the reader
to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gonogo.journal.archive import write_archive
from gonogo.journal.bundle_verification import verify_bundle
from gonogo.journal.canonical import canonical_json
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.journal.signed import SIGNED_KINDS, allowed_signers, signed_statement
from gonogo.model.clock import time_text
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of
from gonogo.model.statement import NAMESPACE

FORMAT = 1
NO_KEYS: Mapping[str, Sequence[str]] = MappingProxyType({})

__all__ = ["export", "verify_bundle"]


def export(
    journal: Journal,
    evidence: EvidenceStore,
    target: Path,
    release: str,
    *,
    keys: Mapping[str, Sequence[str]] = NO_KEYS,
) -> Path:
    """Write the bundle of the release with this id to ``target``; the same record gives the same bytes.

    Args:
        keys: person id to public keys (authorized_keys form), of everybody who signed anything.

    Raises:
        GonogoError: ``journal.altered`` if the journal does not verify, ``journal.unknown-release`` naming
            the known ones, ``journal.evidence-missing``, ``journal.evidence-altered``,
            ``journal.bundle-too-large``.
    """
    faults = journal.verify()
    if faults:
        raise GonogoError(
            "journal.altered",
            f"the journal does not verify, got {len(faults)} faults, the first: {faults[0].what}",
            hint="run `gonogo verify` to see every place",
            exit_code=1,
        )
    entries = tuple(journal.entries())
    shown = [entry for entry in entries if entry.release == release]
    if not shown or not release:
        known = sorted({entry.release for entry in entries} - {""})
        raise GonogoError(
            "journal.unknown-release",
            f"nothing is recorded for this release, got {release!r}; "
            f"expected one of: {', '.join(known) or 'none yet'}",
            hint="run `gonogo check` for it first",
        )
    write_archive(target, _members(entries, shown, evidence, release, keys))
    return target


def _members(
    entries: Sequence[Entry],
    shown: Sequence[Entry],
    evidence: EvidenceStore,
    release: str,
    keys: Mapping[str, Sequence[str]],
) -> dict[str, bytes]:
    lines = [canonical_json(_line(entry, release)) for entry in entries]
    head = entries[-1]
    facts = {"format": FORMAT, "release": release, "head": {"seq": head.seq, "hash": head.hash}}
    members = {
        "README.txt": _README.format(release=release, namespace=NAMESPACE).encode(),
        "bundle.json": canonical_json(facts).encode(),
        "chain.jsonl": "".join(f"{line}\n" for line in lines).encode(),
        "keys.json": canonical_json({person: list(lines) for person, lines in keys.items()}).encode(),
        "allowed_signers": allowed_signers(keys).encode(),
    }
    for entry in shown:
        if entry.kind is EntryKind.EVIDENCE:
            digest = str(entry.body.get("digest", ""))
            members[f"evidence/{digest}"] = evidence.get(digest)
        elif entry.kind in SIGNED_KINDS:
            statement = signed_statement(entry.kind, entry.body, entry.release)
            members[f"statements/{entry.seq}.txt"] = statement.text
            members[f"statements/{entry.seq}.sig"] = statement.signature.encode()
    return members


def _line(entry: Entry, release: str) -> dict[str, Any]:
    """One entry as it stands in the bundle: all of it, or for other releases all but its body."""
    body = dict(entry.body)
    line: dict[str, Any] = {
        "seq": entry.seq,
        "kind": entry.kind,
        "at": time_text(entry.at),
        "actor": entry.actor,
        "release": entry.release,
        "body_digest": digest_of(canonical_json(body).encode()),
        "prev": entry.prev,
        "hash": entry.hash,
    }
    return line | {"body": body} if entry.release in ("", release) else line


_README = """\
Record of the release {release}, written by gonogo.

To verify all of it:       gonogo verify THIS-FILE
To verify one signature:   ssh-keygen -Y verify -n {namespace} -f allowed_signers -I PERSON \\
                             -s statements/N.sig < statements/N.txt

chain.jsonl      every entry of the journal in order. An entry's hash is the SHA-256 of the canonical JSON
                 (keys sorted, no blanks, UTF-8) of its actor, at, body, kind, prev, release and seq, where
                 body stands as the SHA-256 of its own canonical JSON. prev is the hash of the entry before.
                 Entries of other releases show the digest of their body only.
evidence/        what was read, each file named by its SHA-256
statements/      what people signed: N is the number of the entry
allowed_signers  their public keys. Compare them with the keys you know: a bundle cannot prove them.
keys.json        the same for programs
bundle.json      which release this is and the newest entry when it was written
"""
