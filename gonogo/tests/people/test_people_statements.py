"""What people do: attest, sign off, waive; who may, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gonogo.checklist.roles import FINAL_SIGN_OFF, ROLE_OF
from gonogo.config.schema import PersonConfig
from gonogo.model.codec import from_json, to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.people import Attestation, Role, SignOff
from gonogo.model.release import Fingerprint
from gonogo.people.roster import Roster
from gonogo.people.statements import (
    STATEMENT_LIMIT_CHARS,
    attest,
    draft_sign_off,
    record,
    requirement_to_sign,
    sign_off,
    waive,
)
from gonogo.people.trust import text_to_sign, trusted

SHOWN = "5" * 64


@pytest.fixture
def now(journal):
    return journal.head().at


@pytest.fixture
def gives(journal, roster, release, signer_of, now):
    """The three acts with everything but what a test is about filled in."""

    class Gives:
        def attestation(
            self, person="ada", check_id="people.primary-identified", statement="I am here", **more
        ):
            more |= {"check_id": check_id, "person": person, "statement": statement}
            return attest(
                journal, roster, release=release, signer=signer_of(person), clock=lambda: now, **more
            )

        def sign_off(self, person, check_id, **more):
            more |= {"check_id": check_id, "person": person, "shown_digest": SHOWN}
            return sign_off(
                journal, roster, release=release, signer=signer_of(person), clock=lambda: now, **more
            )

        def waiver(self, owner="bob", check_id="comms.war-room", reason="no room booked", days=7):
            more = {"check_id": check_id, "owner": owner, "reason": reason}
            more["ends_at"] = now + timedelta(days=days)
            return waive(journal, roster, release=release, signer=signer_of(owner), clock=lambda: now, **more)

    return Gives()


def _refused(act, *arguments, **options) -> GonogoError:
    with pytest.raises(GonogoError) as refused:
        act(*arguments, **options)
    return refused.value


def _trusted(statement, roster, release):
    kinds = {Attestation: ((statement,), (), ()), SignOff: ((), (statement,), ())}
    found = trusted(*kinds.get(type(statement), ((), (), (statement,))), roster=roster, release=release.id)
    return not found.refused


def test_an_attestation_is_recorded_under_the_persons_name(gives, journal, release, now):
    given = gives.attestation(shown_digest=SHOWN)
    (entry,) = journal.entries(release=release.id, kinds={EntryKind.ATTESTATION})
    assert entry.actor == "ada"
    assert from_json(Attestation, entry.body) == given
    assert given.fingerprint == release.fingerprint.digest
    assert given.valid_until == now + timedelta(hours=24)


def test_a_sign_off_is_recorded_with_its_role_and_what_was_shown(gives, journal, release):
    given = gives.sign_off("bob", "signoff.operations-lead")
    (entry,) = journal.entries(release=release.id, kinds={EntryKind.SIGN_OFF})
    assert from_json(SignOff, entry.body) == given
    assert (given.role, given.shown_digest) == (Role.OPERATIONS_LEAD, SHOWN)


def test_the_release_manager_signs_last(gives):
    early = _refused(gives.sign_off, "ada", "signoff.release-manager")
    assert early.error_id == "people.too-early"
    assert "signoff.build-lead, signoff.operations-lead, signoff.security-officer" in early.message
    gives.sign_off("ada", "signoff.build-lead")
    gives.sign_off("bob", "signoff.operations-lead")
    assert "signoff.security-officer" in _refused(gives.sign_off, "ada", "signoff.release-manager").message
    gives.sign_off("cyd", "signoff.security-officer")
    assert gives.sign_off("ada", "signoff.release-manager").role is Role.RELEASE_MANAGER


def test_the_release_manager_waits_only_for_signatures_that_the_gate_demands(gives):
    assert gives.sign_off("ada", "signoff.release-manager", demanded=())


def test_a_person_without_the_role_is_refused_and_told_who_has_it(gives, journal):
    fault = _refused(gives.sign_off, "cyd", "signoff.operations-lead")
    assert fault.error_id == "people.wrong-role"
    assert "held by bob" in fault.message
    assert journal.head().seq == 1


def test_an_unknown_person_and_an_unknown_requirement_are_refused(gives, signer_of):
    assert _refused(gives.attestation, check_id="people.nobody").error_id == "checklist.unknown-requirement"
    assert _refused(gives.sign_off, "ada", "tls.hsts").error_id == "people.not-signable"


@pytest.mark.parametrize(
    ("check_id", "hint"),
    [("tls.hsts", "gonogo check --only tls.hsts"), ("signoff.build-lead", "gonogo sign signoff.build-lead")],
)
def test_nobody_can_attest_what_a_machine_measures_or_a_role_signs(gives, check_id, hint):
    fault = _refused(gives.attestation, check_id=check_id)
    assert (fault.error_id, fault.hint) == ("people.not-attestable", hint)


def test_a_statement_must_say_something_and_not_too_much(gives):
    assert _refused(gives.attestation, statement="  ").error_id == "people.bad-statement"
    gives.attestation(statement="x" * STATEMENT_LIMIT_CHARS)
    too_long = _refused(gives.attestation, statement="x" * (STATEMENT_LIMIT_CHARS + 1))
    assert too_long.error_id == "people.bad-statement"


def test_a_signature_by_another_key_is_refused_and_nothing_is_kept(journal, roster, release, signer_of, now):
    fault = _refused(
        attest,
        journal,
        roster,
        check_id="people.primary-identified",
        release=release,
        person="ada",
        statement="I am here",
        signer=signer_of("bob"),
        clock=lambda: now,
    )
    assert fault.error_id == "people.bad-signature"
    assert journal.head().seq == 1


def test_a_draft_can_be_signed_elsewhere_and_recorded_later(journal, roster, release, signer_of, now):
    draft = draft_sign_off(
        roster, check_id="signoff.build-lead", release=release, person="ada", shown_digest=SHOWN, at=now
    )
    signature = signer_of("ada")(text_to_sign(draft, release=release.id))
    record(journal, roster, replace(draft, signature=signature), release=release)
    assert _trusted(from_json(SignOff, journal.head().body), roster, release)


def test_what_was_signed_for_an_older_fingerprint_is_refused(journal, roster, release, signer_of, now):
    draft = draft_sign_off(
        roster, check_id="signoff.build-lead", release=release, person="ada", shown_digest=SHOWN, at=now
    )
    signed = replace(draft, signature=signer_of("ada")(text_to_sign(draft, release=release.id)))
    changed = replace(release, fingerprint=Fingerprint("c" * 40, "a" * 64, "b" * 64, "e" * 64))
    fault = _refused(record, journal, roster, signed, release=changed)
    assert (fault.error_id, fault.exit_code) == ("people.stale-fingerprint", 1)


def test_a_waiver_needs_a_reason_an_end_and_a_role(gives, roster, journal, release, signer_of, now):
    given = gives.waiver()
    assert given.ends_at - given.starts_at == timedelta(days=7)
    assert journal.head().actor == "bob"
    assert _refused(gives.waiver, reason=" ").error_id == "people.bad-statement"
    assert _refused(gives.waiver, days=0).error_id == "people.bad-statement"
    assert gives.waiver(days=90)
    assert _refused(gives.waiver, days=91).error_id == "people.bad-statement"


def test_somebody_without_any_role_cannot_waive(journal, keys, release, signer_of, now):
    public = keys["ada"].with_suffix(".pub").read_text().strip()
    nobody = Roster({"ada": PersonConfig(name="A", email="a@example.com", phone="+1", ssh_keys=(public,))})
    fault = _refused(
        waive,
        journal,
        nobody,
        check_id="comms.war-room",
        release=release,
        owner="ada",
        reason="r",
        ends_at=now + timedelta(days=1),
        signer=signer_of("ada"),
        clock=lambda: now,
    )
    assert fault.error_id == "people.wrong-role"


def test_a_changed_field_of_any_statement_loses_its_signature(gives, roster, release):
    later = timedelta(minutes=1)
    attestation, waiver = gives.attestation(), gives.waiver()
    signed = gives.sign_off("bob", "signoff.operations-lead")
    assert all(_trusted(statement, roster, release) for statement in (attestation, waiver, signed))
    changed = [
        replace(attestation, check_id="people.backup-standby"),
        replace(attestation, person="bob"),
        replace(attestation, statement="I am not here"),
        replace(attestation, fingerprint="0" * 64),
        replace(attestation, at=attestation.at - later),
        replace(attestation, valid_until=attestation.valid_until + later),
        replace(attestation, shown_digest=SHOWN),
        replace(attestation, signature=signed.signature),
        replace(signed, role=Role.BUILD_LEAD),
        replace(signed, check_id="signoff.build-lead"),
        replace(signed, shown_digest="6" * 64),
        replace(signed, valid_until=None),
        replace(signed, person="nobody"),
        replace(waiver, reason="another"),
        replace(waiver, ends_at=waiver.ends_at + later),
        replace(waiver, owner="ada"),
        replace(waiver, check_id="comms.status-page"),
    ]
    assert [statement for statement in changed if _trusted(statement, roster, release)] == []


def test_a_statement_about_another_release_does_not_count(gives, roster, release):
    given = gives.attestation()
    assert not _trusted(given, roster, replace(release, id="rel-notes-1.2.0"))


def test_the_final_sign_off_states_the_five_confirmations(roster, release, now):
    final = draft_sign_off(
        roster, check_id="signoff.build-lead", release=release, person="ada", shown_digest=SHOWN, at=now
    )
    text = text_to_sign(final, release=release.id).decode()
    confirmed = [line for line in text.splitlines() if line.startswith("I confirm: ")]
    assert len(confirmed) == 5
    assert f"fingerprint: {release.fingerprint.digest}" in text.splitlines()
    approval = draft_sign_off(
        roster, check_id="approval.tech-lead", release=release, person="ada", shown_digest=SHOWN, at=now
    )
    assert "I confirm" not in text_to_sign(approval, release=release.id).decode()


def test_a_line_break_cannot_smuggle_a_line_into_the_signed_text(gives, roster, release):
    smuggled = "fine\nrole: release-manager"
    given = gives.attestation(statement=smuggled)
    assert "role: release-manager" not in text_to_sign(given, release=release.id).decode().splitlines()
    fault = _refused(text_to_sign, replace(given, person="ada\nrole: x"), release=release.id)
    assert fault.error_id == "people.bad-statement"


def test_a_role_names_the_requirement_that_it_signs():
    assert requirement_to_sign("build-lead") == "signoff.build-lead"
    assert requirement_to_sign("approval.security") == "approval.security"
    assert {requirement_to_sign(role) for role in ROLE_OF.values()} == set(ROLE_OF)
    assert "expected one of" in _refused(requirement_to_sign, "boss").message
    assert set(FINAL_SIGN_OFF) < set(ROLE_OF)


def test_statements_survive_the_journal_unchanged(gives):
    given = gives.attestation(statement="ünïcode \u2028 “quotes”")
    assert from_json(Attestation, to_json(given)) == given
