"""Evidence is kept by its digest, and any change to it is found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gonogo.journal.evidence import SIZE_LIMIT_BYTES
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading, digest_of

READ_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
READING = Reading("https://notes.example.com/health", "application/json", b'{"status":"alive"}')


@pytest.fixture
def stored(evidence):
    return evidence.put(READING, read_at=READ_AT)


def _path(folder, digest):
    return folder / "evidence" / digest[:2] / digest


def test_a_reading_is_described_and_can_be_read_back(evidence, stored):
    assert stored.digest == digest_of(READING.body)
    assert stored.id == f"ev-{stored.digest[:12]}"
    assert (stored.size, stored.source, stored.media_type) == (18, READING.source, READING.media_type)
    assert stored.read_at == READ_AT
    assert evidence.get(stored.digest) == READING.body


def test_the_same_reading_is_stored_once(evidence, stored):
    assert evidence.put(READING, read_at=READ_AT) == stored
    assert list(evidence.digests()) == [stored.digest]


def test_an_empty_reading_is_evidence_too(evidence):
    stored = evidence.put(Reading("x", "text/plain", b""), read_at=READ_AT)
    assert evidence.get(stored.digest) == b""


def test_every_flipped_byte_is_found(evidence, folder, stored):
    assert evidence.verify_all(iter([stored.digest])) == []
    path = _path(folder, stored.digest)
    for place in range(len(READING.body)):
        flipped = bytearray(READING.body)
        flipped[place] ^= 0x01
        path.write_bytes(flipped)
        assert [fault.what for fault in evidence.verify_all()] == ["evidence altered"]
        with pytest.raises(GonogoError) as refused:
            evidence.get(stored.digest)
        assert refused.value.error_id == "journal.evidence-altered"


def test_a_cut_short_file_is_found_and_the_true_bytes_heal_it(evidence, folder, stored):
    _path(folder, stored.digest).write_bytes(b"")
    assert evidence.verify_all()
    evidence.put(READING, read_at=READ_AT)
    assert evidence.verify_all() == []


def test_missing_evidence_is_found_when_it_is_expected(evidence, folder, stored):
    _path(folder, stored.digest).unlink()
    assert evidence.verify_all() == []
    (fault,) = evidence.verify_all(iter([stored.digest]))
    assert (fault.what, fault.expected) == ("evidence missing", stored.digest)
    with pytest.raises(GonogoError) as refused:
        evidence.get(stored.digest)
    assert refused.value.error_id == "journal.evidence-missing"


def test_a_stranger_among_the_evidence_is_found(evidence, folder, stored):
    _path(folder, stored.digest).with_name("notes.txt").write_text("hello")
    assert [fault.what for fault in evidence.verify_all()] == ["stranger in the evidence folder"]


def test_what_a_crash_left_half_written_is_no_evidence(evidence, folder, stored):
    _path(folder, stored.digest).with_name(".abc.tmp").write_bytes(b'{"sta')
    assert evidence.verify_all() == []
    assert list(evidence.digests()) == [stored.digest]


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "a" * 63, "a" * 65])
def test_what_is_no_digest_reads_no_file(evidence, digest):
    with pytest.raises(GonogoError) as refused:
        evidence.get(digest)
    assert refused.value.error_id == "journal.evidence-missing"


def test_a_reading_over_the_limit_is_refused(evidence):
    class Huge(bytes):
        def __len__(self):
            return SIZE_LIMIT_BYTES + 1

    with pytest.raises(GonogoError) as refused:
        evidence.put(Reading("x", "text/plain", Huge()), read_at=READ_AT)
    assert refused.value.error_id == "journal.evidence-too-large"
