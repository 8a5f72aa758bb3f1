"""The decision verifies every signature again before it counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gonogo.config.schema import PersonConfig, Profile
from gonogo.journal.journal import Journal
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.finding import Answer, Finding
from gonogo.model.people import Role
from gonogo.model.release import Fingerprint, Release
from gonogo.model.verdict import Verdict
from gonogo.people.roster import Roster
from gonogo.people.signing import sign
from gonogo.people.statements import sign_off
from gonogo.release.decide import decide
from gonogo.release.record import read_record

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RELEASE = Release("rel-notes-1.1.0", "notes", "1.1.0", "production", Fingerprint("c", "a", "b", "d"))
CHECK = "build.lock-file-committed"


@pytest.fixture
def key(tmp_path):
    private = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "ada"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.with_suffix(".pub").write_bytes(
        private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    )
    return path


@pytest.fixture
def staffed(settings, key):
    """Settings with Ada as build lead and a profile of one check and one signature."""
    ada = PersonConfig(
        name="Ada",
        email="ada@example.com",
        phone="+44 20 7946 0000",
        roles=(Role.BUILD_LEAD,),
        ssh_keys=(key.with_suffix(".pub").read_text(),),
    )
    environment = settings.environments["production"].model_copy(update={"profile": "demo"})
    return settings.model_copy(
        update={
            "people": {"ada": ada},
            "profiles": {"demo": Profile(reason="r", checks=(CHECK, "signoff.build-lead"))},
            "environments": {"production": environment},
        }
    )


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path / "state", clock=lambda: NOW, service="notes") as opened:
        digest = RELEASE.fingerprint.digest
        found = Finding("fi-1", CHECK, "x", Answer.PASS, "r", None, (), digest, NOW, NOW + timedelta(hours=1))
        opened.append(EntryKind.FINDING, to_json(found), actor="gonogo", release=RELEASE.id)
        yield opened


def _verdict(journal, settings, **changes):
    arguments = {"fingerprint": RELEASE.fingerprint.digest, "now": NOW} | changes
    return decide(read_record(journal, RELEASE.id), settings, "production", **arguments)


def _signed(journal, settings, key):
    return sign_off(
        journal,
        Roster(settings.people),
        check_id="signoff.build-lead",
        release=RELEASE,
        person="ada",
        shown_digest="5" * 64,
        signer=lambda text: sign(key, text),
        clock=lambda: NOW,
    )


def test_a_signature_turns_no_go_into_go(journal, staffed, key):
    assert _verdict(journal, staffed).verdict is Verdict.NO_GO
    _signed(journal, staffed, key)
    assert _verdict(journal, staffed).verdict is Verdict.GO


def test_a_sign_off_written_past_the_commands_does_not_count(journal, staffed, key):
    good = _signed(journal, staffed, key)
    forged = replace(good, at=NOW + timedelta(seconds=1), valid_until=NOW + timedelta(days=365))
    later = NOW + timedelta(hours=25)
    fresh = {"now": later, "profile_name": "demo"}
    journal.append(EntryKind.SIGN_OFF, to_json(forged), actor="ada", release=RELEASE.id)
    result = _verdict(journal, staffed, **fresh)
    assert "signoff.build-lead" in {finding.check_id for finding in result.blocking}


def test_everything_is_stale_for_another_fingerprint(journal, staffed, key):
    _signed(journal, staffed, key)
    result = _verdict(journal, staffed, fingerprint="0" * 64)
    assert (result.verdict, len(result.blocking)) == (Verdict.NO_GO, 2)


def test_who_left_the_roster_does_not_count_any_more(journal, staffed, key):
    _signed(journal, staffed, key)
    without = staffed.model_copy(update={"people": {}})
    assert _verdict(journal, without).verdict is Verdict.NO_GO


def test_who_lost_the_role_does_not_count_any_more(journal, staffed, key):
    _signed(journal, staffed, key)
    ada = staffed.people["ada"].model_copy(update={"roles": (Role.TECH_LEAD,)})
    assert _verdict(journal, staffed.model_copy(update={"people": {"ada": ada}})).verdict is Verdict.NO_GO


def test_the_full_profile_can_be_asked_for(journal, staffed):
    result = _verdict(journal, staffed, profile_name="full")
    assert (result.profile, len(result.findings)) == ("full", 366)
