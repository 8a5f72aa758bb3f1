"""A bundle proves itself, and any change to it is found."""

from __future__ import annotations

import json
import random
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gonogo.journal import archive
from gonogo.journal.archive import read_archive, write_archive
from gonogo.journal.bundle import export, verify_bundle
from gonogo.journal.canonical import canonical_json
from gonogo.journal.sshsig import armour_of
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.people import Role, SignOff
from gonogo.model.statement import statement_bytes

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {"ada": [KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()]}
RELEASE = "rel-notes-1.1.0"


def _sign_off() -> SignOff:
    unsigned = SignOff(
        "signoff.build-lead", Role.BUILD_LEAD, "ada", "f" * 64, "5" * 64, NOW, "", NOW + timedelta(hours=24)
    )
    from dataclasses import replace

    text = statement_bytes(unsigned, release=RELEASE)
    return replace(unsigned, signature=armour_of(KEY, text, namespace="gonogo"))


@pytest.fixture
def full(journal, evidence):
    """A journal with two releases, evidence and a signature."""
    stored = evidence.put(Reading("https://x/health", "application/json", b"{}"), read_at=NOW)
    journal.append(EntryKind.EVIDENCE, to_json(stored), actor="gonogo", release=RELEASE)
    journal.append(EntryKind.DECISION, {"secret plan": "of another"}, actor="bob", release="rel-notes-2.0.0")
    journal.append(EntryKind.SIGN_OFF, to_json(_sign_off()), actor="ada", release=RELEASE)
    journal.append(EntryKind.DECISION, {"note": "line\u2028separator"}, actor="ada", release=RELEASE)
    return journal


@pytest.fixture
def bundle(full, evidence, tmp_path):
    return export(full, evidence, tmp_path / "out" / "notes.zip", RELEASE, keys=KEYS)


def _rewritten(bundle, change):
    members = read_archive(bundle)
    change(members)
    write_archive(bundle, members)
    return [fault.what for fault in verify_bundle(bundle)]


def _chain(members):
    return [json.loads(line) for line in members["chain.jsonl"].split(b"\n") if line]


def _put_chain(members, lines):
    members["chain.jsonl"] = "".join(canonical_json(line) + "\n" for line in lines).encode()


def test_a_bundle_verifies_with_nothing_but_its_file(bundle, journal, folder):
    import shutil

    journal.close()
    shutil.rmtree(folder)
    assert verify_bundle(bundle) == []


def test_the_same_record_gives_the_same_bytes(bundle, full, evidence, tmp_path):
    again = export(full, evidence, tmp_path / "again.zip", RELEASE, keys=KEYS)
    assert again.read_bytes() == bundle.read_bytes()


def test_other_releases_are_in_the_chain_but_not_their_bodies(bundle):
    lines = _chain(read_archive(bundle))
    assert [("body" in line) for line in lines] == [True, True, False, True, True]
    assert b"secret plan" not in bundle.read_bytes()


def test_a_flipped_byte_anywhere_in_the_file_is_found(bundle):
    whole = bundle.read_bytes()
    for place in random.Random(2026).sample(range(len(whole)), 400):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        bundle.write_bytes(flipped)
        assert verify_bundle(bundle), f"byte {place} was flipped and not found"
    bundle.write_bytes(whole)
    assert verify_bundle(bundle) == []


def test_bytes_after_the_end_and_a_cut_off_end_are_found(bundle):
    whole = bundle.read_bytes()
    for changed in (whole + b"\0", whole[:-1], whole[: len(whole) // 2], b"", b"PK"):
        bundle.write_bytes(changed)
        assert [fault.what for fault in verify_bundle(bundle)] == ["bundle unreadable"]


def test_altered_evidence_is_found(bundle):
    def change(members):
        name = next(name for name in members if name.startswith("evidence/"))
        members[name] = b"[]"

    assert _rewritten(bundle, change) == ["evidence altered"]


def test_removed_and_added_evidence_is_found(bundle):
    def change(members):
        name = next(name for name in members if name.startswith("evidence/"))
        members["evidence/" + "0" * 64] = members.pop(name)

    assert _rewritten(bundle, change) == ["evidence missing", "evidence that no entry names"]


def test_an_altered_body_is_found_even_with_its_digest_made_to_fit(bundle):
    def change(members):
        lines = _chain(members)
        lines[-1]["body"] = {"note": "nothing"}
        _put_chain(members, lines)

    def fit(members):
        from gonogo.model.evidence import digest_of

        lines = _chain(members)
        lines[-1]["body_digest"] = digest_of(canonical_json(lines[-1]["body"]).encode())
        _put_chain(members, lines)

    assert _rewritten(bundle, change) == ["body altered"]
    assert _rewritten(bundle, fit) == ["hash does not fit the entry"]


def test_a_withheld_body_a_removed_entry_and_a_cut_off_tail_are_found(bundle):
    whole = bundle.read_bytes()

    def withhold(members):
        lines = _chain(members)
        del lines[-1]["body"]
        _put_chain(members, lines)

    def remove(members):
        lines = _chain(members)
        _put_chain(members, lines[:2] + lines[3:])

    def cut(members):
        _put_chain(members, _chain(members)[:-1])

    assert _rewritten(bundle, withhold) == ["body withheld"]
    bundle.write_bytes(whole)
    assert _rewritten(bundle, remove) == ["sequence broken", "not linked to the entry before"]
    bundle.write_bytes(whole)
    assert _rewritten(bundle, cut) == ["chain does not end at its head"]


def test_a_signature_by_a_key_that_is_not_given_is_found(full, evidence, tmp_path):
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    keys = {"ada": [other.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()]}
    for given in (keys, {}):
        bundle = export(full, evidence, tmp_path / "notes.zip", RELEASE, keys=given)
        (fault,) = verify_bundle(bundle)
        assert (fault.seq, fault.what) == (4, "signature does not hold")


def test_a_forged_statement_in_the_journal_is_found_in_the_bundle(full, evidence, tmp_path):
    from dataclasses import replace

    forged = replace(_sign_off(), role=Role.RELEASE_MANAGER)
    full.append(EntryKind.SIGN_OFF, to_json(forged), actor="ada", release=RELEASE)
    (fault,) = verify_bundle(export(full, evidence, tmp_path / "b.zip", RELEASE, keys=KEYS))
    assert (fault.seq, fault.what, fault.got) == (
        6,
        "signature does not hold",
        "the signature does not fit the text",
    )


def test_a_text_beside_the_entry_that_differs_is_found(bundle):
    def change(members):
        members["statements/4.txt"] += b"and more\n"

    assert _rewritten(bundle, change) == ["signature does not hold"]


def test_allowed_signers_for_ssh_keygen_name_the_same_keys(bundle):
    def change(members):
        members["allowed_signers"] += members["allowed_signers"].replace(b"ada", b"eve")

    assert _rewritten(bundle, change) == ["bundle unreadable"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/passwd", "evidence/../x", "extra.txt", "evidence/ab", "a/"]
)
def test_a_file_that_no_bundle_holds_is_refused_and_never_written(bundle, tmp_path, name):
    with zipfile.ZipFile(bundle, "a") as opened:
        opened.writestr(name, b"evil")
    (fault,) = verify_bundle(bundle)
    assert "that no bundle holds" in fault.got
    assert not (tmp_path / "evil").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(bundle):
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("README.txt", bytes(10_000_000))
    (fault,) = verify_bundle(bundle)
    assert "compressed" in fault.got


def test_the_size_limit_holds_for_writing_and_reading(bundle, monkeypatch, tmp_path):
    size = sum(len(data) for data in read_archive(bundle).values())
    monkeypatch.setattr(archive, "SIZE_LIMIT_BYTES", size)
    assert verify_bundle(bundle) == []
    members = read_archive(bundle)
    monkeypatch.setattr(archive, "SIZE_LIMIT_BYTES", size - 1)
    assert "more bytes" in verify_bundle(bundle)[0].got
    with pytest.raises(GonogoError) as refused:
        write_archive(tmp_path / "x.zip", members)
    assert refused.value.error_id == "journal.bundle-too-large"


def test_an_altered_journal_is_not_exported(full, evidence, folder, tmp_path):
    import sqlite3

    database = sqlite3.connect(folder / "journal.sqlite")
    database.execute("UPDATE entries SET actor = 'eve' WHERE seq = 3")
    database.commit()
    database.close()
    with pytest.raises(GonogoError) as refused:
        export(full, evidence, tmp_path / "x.zip", RELEASE, keys=KEYS)
    assert refused.value.error_id == "journal.altered"
    assert not (tmp_path / "x.zip").exists()


@pytest.mark.parametrize("release", ["rel-notes-9", ""])
def test_a_release_without_a_record_is_answered_with_the_known_ones(full, evidence, tmp_path, release):
    with pytest.raises(GonogoError) as refused:
        export(full, evidence, tmp_path / "x.zip", release)
    assert refused.value.error_id == "journal.unknown-release"
    assert "rel-notes-1.1.0, rel-notes-2.0.0" in refused.value.message


def test_a_missing_bundle_and_a_newer_one_say_so(bundle, tmp_path):
    with pytest.raises(GonogoError) as refused:
        verify_bundle(tmp_path / "nowhere.zip")
    assert refused.value.error_id == "journal.not-found"
    members = read_archive(bundle)
    members["bundle.json"] = members["bundle.json"].replace(b'"format":1', b'"format":2')
    write_archive(bundle, members)
    with pytest.raises(GonogoError) as refused:
        verify_bundle(bundle)
    assert refused.value.error_id == "journal.newer-format"
