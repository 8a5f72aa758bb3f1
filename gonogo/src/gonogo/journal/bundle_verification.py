"""Proves a bundle from its bytes alone: the chain, each shown body, the evidence and the signatures.

Nothing in it is trusted: what can be computed is computed again and compared. It reads no database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gonogo.journal.archive import read_archive
from gonogo.journal.canonical import canonical_json
from gonogo.journal.signed import SIGNED_KINDS, allowed_signers, signed_statement
from gonogo.journal.sshsig import SshSignature, key_blob_from_line
from gonogo.journal.verification import Fault, Link, chain_faults, text_faults
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import digest_of
from gonogo.model.statement import NAMESPACE

_NEEDED = ("README.txt", "bundle.json", "chain.jsonl", "keys.json", "allowed_signers")


class _Head(msgspec.Struct, frozen=True):
    seq: int
    hash: str


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    release: str
    head: _Head


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    kind: str
    at: str
    actor: str
    release: str
    body_digest: str
    prev: str
    hash: str
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Bundle:
    members: Mapping[str, bytes]
    facts: _Facts
    lines: tuple[_Line, ...]
    keys: Mapping[str, list[str]]

    def shown(self) -> Iterator[_Line]:
        """Entries of the bundle's own release."""
        return (line for line in self.lines if line.release == self.facts.release)


def verify_bundle(path: Path) -> list[Fault]:
    """Every fault of the bundle at ``path``; empty means nothing was found.

    Raises:
        GonogoError: ``journal.not-found`` if there is no such file, ``journal.newer-format``.
    """
    if not path.is_file():
        raise GonogoError(
            "journal.not-found",
            f"there is no bundle here, got {path}; expected a file that `gonogo export` wrote",
            hint="name the file, or leave it out to verify the repository's own record",
        )
    try:
        bundle = _parsed(read_archive(path))
    except (OSError, ValueError, RecursionError) as cause:
        return [Fault(0, "bundle unreadable", "a file that `gonogo export` wrote", str(cause))]
    return [
        *_chain_faults(bundle),
        *_body_faults(bundle),
        *_evidence_faults(bundle),
        *_statement_faults(bundle),
    ]


def _parsed(members: Mapping[str, bytes]) -> _Bundle:
    missing = [name for name in _NEEDED if name not in members]
    if missing:
        raise ValueError(f"without {', '.join(missing)}")
    head = json.loads(members["bundle.json"])
    if isinstance(head, dict) and isinstance(head.get("format"), int) and head["format"] > 1:
        raise GonogoError(
            "journal.newer-format",
            f"a newer gonogo wrote the bundle, got format {head['format']}; expected 1",
            hint="verify it with the gonogo that wrote it, or a newer one",
        )
    decoder = msgspec.json.Decoder(_Line)
    *lines, rest = members["chain.jsonl"].split(b"\n")
    keys = msgspec.json.decode(members["keys.json"], type=dict[str, list[str]])
    inexact = [line for line in lines if canonical_json(json.loads(line)).encode() != line]
    if inexact or rest:
        raise ValueError(
            f"a line of the chain is not in its canonical form: {(inexact or [rest])[0][:100]!r}"
        )
    if allowed_signers(keys).encode() != members["allowed_signers"]:
        raise ValueError("allowed_signers and keys.json name different keys")
    return _Bundle(
        members=members,
        facts=msgspec.convert(head, _Facts),
        lines=tuple(decoder.decode(line) for line in lines),
        keys=keys,
    )


def _chain_faults(bundle: _Bundle) -> list[Fault]:
    links = [
        Link(
            seq=line.seq,
            kind=line.kind,
            at=line.at,
            actor=line.actor,
            release=line.release,
            body_digest=line.body_digest,
            prev=line.prev,
            hash=line.hash,
        )
        for line in bundle.lines
    ]
    faults = chain_faults(links)
    head = bundle.facts.head
    reached = (links[-1].seq, links[-1].hash) if links else (0, "")
    if reached != (head.seq, head.hash):
        faults.append(
            Fault(reached[0], "chain does not end at its head", f"entry {head.seq}", str(reached[0]))
        )
    if not any(True for _ in bundle.shown()):
        faults.append(Fault(0, "nothing of the release", bundle.facts.release, "no entry"))
    return faults


def _body_faults(bundle: _Bundle) -> Iterator[Fault]:
    for line in bundle.lines:
        if line.release not in ("", bundle.facts.release):
            continue
        if line.body is None:
            yield Fault(line.seq, "body withheld", "the entry's body", "none")
            continue
        text = canonical_json(line.body)
        if digest_of(text.encode()) != line.body_digest:
            yield Fault(line.seq, "body altered", line.body_digest, digest_of(text.encode()))
        yield from text_faults(line.seq, line.at, text)


def _evidence_faults(bundle: _Bundle) -> Iterator[Fault]:
    prefix = "evidence/"
    there = {name.removeprefix(prefix) for name in bundle.members if name.startswith(prefix)}
    named = {
        str((line.body or {}).get("digest")): line.seq
        for line in bundle.shown()
        if line.kind == EntryKind.EVIDENCE
    }
    for digest, seq in named.items():
        body = bundle.members.get(prefix + digest)
        if body is None:
            yield Fault(seq, "evidence missing", digest, "no such file")
        elif digest_of(body) != digest:
            yield Fault(seq, "evidence altered", digest, digest_of(body))
    for digest in sorted(there - named.keys()):
        yield Fault(0, "evidence that no entry names", "only what entries name", digest)


def _statement_faults(bundle: _Bundle) -> Iterator[Fault]:
    expected: set[str] = set()
    for line in bundle.shown():
        if line.kind in SIGNED_KINDS and line.body is not None:
            expected |= {f"statements/{line.seq}.txt", f"statements/{line.seq}.sig"}
            try:
                _check_statement(bundle, line, line.body)
            except ValueError as cause:
                yield Fault(
                    line.seq, "signature does not hold", "a signature by the person named", str(cause)
                )
    for name in sorted(name for name in bundle.members if name.startswith("statements/")):
        if name not in expected:
            yield Fault(0, "statement that no entry holds", "only what entries hold", name)


def _check_statement(bundle: _Bundle, line: _Line, body: Mapping[str, Any]) -> None:
    statement = signed_statement(line.kind, body, line.release)
    copies = (
        bundle.members.get(f"statements/{line.seq}.txt"),
        bundle.members.get(f"statements/{line.seq}.sig"),
    )
    if copies != (statement.text, statement.signature.encode()):
        raise ValueError("the copy beside the entry differs from it")
    signature = SshSignature.parse(statement.signature)
    signature.check(statement.text, namespace=NAMESPACE)
    keys = {key_blob_from_line(key) for key in bundle.keys.get(statement.person, [])}
    if signature.key_blob not in keys:
        raise ValueError(f"made with a key that the bundle does not give for {statement.person}")
