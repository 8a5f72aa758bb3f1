"""The gate opens only for what was shown, and says why it stays shut."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.profile import gate_profile
from gonogo.checklist.roles import FINAL_SIGN_OFF
from gonogo.config.schema import Profile
from gonogo.model.errors import GonogoError
from gonogo.model.finding import Answer
from gonogo.model.people import Role
from gonogo.model.verdict import Verdict

BLOCKER = "monitoring.health-endpoints"
REQUIRED = "deps.critical-current"
ADVISORY = "build.no-commented-code"
ASSISTED = "people.primary-identified"
OTHER = "build.types-clean"


def _ids(findings):
    return [finding.check_id for finding in findings]


def _dated(facts, changes):
    """Changes whose times are given as the distance from now."""
    return {
        key: facts.NOW + value if isinstance(value, timedelta) else value for key, value in changes.items()
    }


def test_a_gate_opens_when_everything_it_demands_passes(facts):
    result = facts.judge({BLOCKER, REQUIRED}, [facts.finding(BLOCKER), facts.finding(REQUIRED)])
    assert result.verdict is Verdict.GO
    assert _ids(result.findings) == [REQUIRED, BLOCKER], "in document order"
    assert result.blocking == result.waived == result.remarks == ()
    assert len(result.outside) == 364


@pytest.mark.parametrize("check_id", [BLOCKER, REQUIRED])
def test_a_failure_shuts_it(facts, check_id):
    result = facts.judge({check_id, OTHER}, [facts.finding(OTHER), facts.finding(check_id, Answer.FAIL)])
    assert (result.verdict, _ids(result.blocking)) == (Verdict.NO_GO, [check_id])


def test_an_advisory_failure_is_a_remark(facts):
    result = facts.judge({ADVISORY, OTHER}, [facts.finding(OTHER), facts.finding(ADVISORY, Answer.FAIL)])
    assert (result.verdict, _ids(result.remarks)) == (Verdict.GO, [ADVISORY])
    unknown = facts.judge({ADVISORY, OTHER}, [facts.finding(OTHER)])
    assert (unknown.verdict, _ids(unknown.remarks)) == (Verdict.GO, [ADVISORY])


def test_a_warning_opens_with_a_remark(facts):
    result = facts.judge({BLOCKER}, [facts.finding(BLOCKER, Answer.WARN)])
    assert (result.verdict, _ids(result.remarks)) == (Verdict.GO, [BLOCKER])


def test_a_failure_outside_the_profile_is_shown_and_does_not_count(facts):
    result = facts.judge({OTHER}, [facts.finding(OTHER), facts.finding(BLOCKER, Answer.FAIL)])
    assert result.verdict is Verdict.GO
    assert facts.answer_in(result, BLOCKER).answer is Answer.FAIL
    assert BLOCKER in _ids(result.outside)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (None, "not measured yet"),
        ({"fingerprint": "0" * 64}, "another fingerprint"),
        ({"valid_until": timedelta(0)}, "stale: pass until"),
        ({"answer": Answer.UNKNOWN, "reason": "timed out"}, "timed out"),
        ({"answer": Answer.UNKNOWN, "built": False, "reason": "not built"}, "not built"),
        ({"measured_at": timedelta(minutes=5)}, "in the future"),
    ],
    ids=["missing", "other fingerprint", "expired", "unknown", "not built", "future"],
)
def test_what_is_unknown_holds_it_and_says_why(facts, changes, reason):
    given = [] if changes is None else [facts.finding(BLOCKER, **_dated(facts, changes))]
    result = facts.judge({BLOCKER, OTHER}, [facts.finding(OTHER), *given])
    assert (result.verdict, _ids(result.blocking)) == (Verdict.HOLD, [BLOCKER])
    assert result.blocking[0].answer is Answer.UNKNOWN
    assert reason in result.blocking[0].reason


def test_a_finding_counts_until_the_moment_it_ends_and_not_at_it(facts):
    moment = facts.finding(BLOCKER, valid_until=facts.NOW)
    before = facts.judge({BLOCKER}, [moment], now=facts.NOW - timedelta(microseconds=1))
    assert before.verdict is Verdict.GO
    assert facts.judge({BLOCKER}, [moment]).verdict is Verdict.HOLD


def test_a_failure_and_an_unknown_together_are_no_go(facts):
    result = facts.judge({BLOCKER, OTHER}, [facts.finding(BLOCKER, Answer.FAIL)])
    assert (result.verdict, len(result.blocking)) == (Verdict.NO_GO, 2)


def test_the_newest_finding_counts_also_when_it_has_ended(facts):
    older = facts.finding(BLOCKER, measured_at=facts.NOW - facts.HOUR)
    newer = facts.finding(BLOCKER, Answer.FAIL)
    assert facts.judge({BLOCKER}, [newer, older]).verdict is Verdict.NO_GO
    mended = facts.finding(BLOCKER, measured_at=facts.NOW)
    assert facts.judge({BLOCKER}, [mended, newer, older]).verdict is Verdict.GO
    ended = facts.finding(BLOCKER, measured_at=facts.NOW, valid_until=facts.NOW)
    assert facts.judge({BLOCKER}, [older, ended]).verdict is Verdict.HOLD


def test_a_gate_that_demands_nothing_or_shows_nothing_holds(facts):
    assert facts.judge(set(), [facts.finding(BLOCKER)]).verdict is Verdict.HOLD
    nothing = facts.finding(BLOCKER, Answer.NOT_APPLICABLE)
    assert facts.judge({BLOCKER}, [nothing]).verdict is Verdict.HOLD
    assert facts.judge({BLOCKER, OTHER}, [nothing, facts.finding(OTHER)]).verdict is Verdict.GO


# Waivers


def test_a_required_failure_takes_one_waiver_by_anybody_with_a_role(facts):
    failed = [facts.finding(OTHER), facts.finding(REQUIRED, Answer.FAIL)]
    result = facts.judge({OTHER, REQUIRED}, failed, waivers=[facts.waiver(REQUIRED, "cyd")])
    assert (result.verdict, _ids(result.waived), result.blocking) == (Verdict.GO, [REQUIRED], ())
    assert facts.answer_in(result, REQUIRED).answer is Answer.FAIL, "never shown as a pass"


def test_a_blocker_takes_the_release_manager_and_the_operations_lead(facts):
    failed = [facts.finding(OTHER), facts.finding(BLOCKER, Answer.FAIL)]

    def verdict(*owners, roles=facts.ROLES):
        waivers = [facts.waiver(BLOCKER, owner) for owner in owners]
        return facts.judge({OTHER, BLOCKER}, failed, waivers=waivers, roles=roles).verdict

    assert verdict("dan", "bob") is Verdict.GO
    assert verdict("dan") is verdict("bob") is verdict("dan", "dan") is verdict("dan", "ada") is Verdict.NO_GO
    both = {"dan": {Role.RELEASE_MANAGER, Role.OPERATIONS_LEAD}, "eve": set()}
    assert verdict("dan", "dan", roles=both) is Verdict.NO_GO, "two roles do not make two people"


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_at": timedelta(0)},
        {"starts_at": timedelta(seconds=1)},
        {"reason": "  "},
        {"owner": "eve"},
        {"owner": "mallory"},
        {"check_id": BLOCKER},
    ],
    ids=["past its end", "not begun", "without reason", "without role", "not on the roster", "for another"],
)
def test_a_waiver_that_is_not_in_force_changes_nothing(facts, changes):
    failed = [facts.finding(OTHER), facts.finding(REQUIRED, Answer.FAIL)]
    at = _dated(facts, changes)
    given = {"check_id": REQUIRED, "owner": "cyd"} | at
    result = facts.judge({OTHER, REQUIRED}, failed, waivers=[facts.waiver(**given)])
    assert result == facts.judge({OTHER, REQUIRED}, failed)
    assert result.verdict is Verdict.NO_GO


def test_a_waiver_does_not_cover_what_is_unknown(facts):
    waivers = [facts.waiver(BLOCKER, "dan"), facts.waiver(BLOCKER, "bob")]
    result = facts.judge({OTHER, BLOCKER}, [facts.finding(OTHER)], waivers=waivers)
    assert (result.verdict, result.waived) == (Verdict.HOLD, ())


# People


def test_a_missing_signature_shuts_the_gate_because_a_person_can_act(facts):
    result = facts.judge({"signoff.build-lead"})
    assert result.verdict is Verdict.NO_GO
    assert "not signed yet" in result.blocking[0].reason
    assert (
        result.blocking[0].hint == "gonogo sign signoff.build-lead --version VERSION --as PERSON --key PATH"
    )


def test_a_signature_by_the_role_for_this_fingerprint_answers(facts):
    result = facts.judge({"signoff.build-lead"}, sign_offs=[facts.sign_off("signoff.build-lead", "ada")])
    assert result.verdict is Verdict.GO
    assert "ada signed as build-lead" in result.findings[0].reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fingerprint": "0" * 64}, "another fingerprint"),
        ({"valid_until": timedelta(0)}, "signature ended"),
        ({"at": timedelta(minutes=5)}, "in the future"),
        ({"valid_until": None, "at": timedelta(hours=-24)}, "signature ended"),
        ({"person": "bob"}, "does not hold the role build-lead"),
        ({"role": Role.TECH_LEAD}, "does not hold the role build-lead"),
        ({"person": "mallory"}, "not on the roster"),
    ],
)
def test_a_signature_that_does_not_count_says_why(facts, changes, reason):
    at = _dated(facts, changes)
    given = facts.sign_off("signoff.build-lead", **({"person": "ada"} | at))
    result = facts.judge({"signoff.build-lead"}, sign_offs=[given])
    assert result.verdict is Verdict.NO_GO
    assert reason in result.blocking[0].reason


def test_no_finding_stands_in_for_a_signature(facts):
    forged = facts.finding("signoff.build-lead", Answer.PASS)
    assert facts.judge({"signoff.build-lead"}, [forged]).verdict is Verdict.NO_GO
    attested = facts.attestation("signoff.build-lead", person="ada")
    assert facts.judge({"signoff.build-lead"}, attestations=[attested]).verdict is Verdict.NO_GO


def test_an_approval_that_does_not_apply_needs_no_signature(facts):
    out = facts.finding("approval.security", Answer.NOT_APPLICABLE)
    assert facts.judge({"approval.security", OTHER}, [out, facts.finding(OTHER)]).verdict is Verdict.GO


def test_without_a_roster_no_signature_counts(facts):
    given = [facts.sign_off("signoff.build-lead", "ada")]
    assert facts.judge({"signoff.build-lead"}, sign_offs=given, roles={}).verdict is Verdict.NO_GO


def test_the_final_sign_off_takes_three_people(facts):
    roles = {
        "ada": {Role.BUILD_LEAD, Role.RELEASE_MANAGER},
        "bob": {Role.OPERATIONS_LEAD, Role.SECURITY_OFFICER},
        "cyd": {Role.SECURITY_OFFICER},
    }

    def result(*people):
        given = [facts.sign_off(name, person) for name, person in zip(FINAL_SIGN_OFF, people, strict=True)]
        return facts.judge(set(FINAL_SIGN_OFF), sign_offs=given, roles=roles)

    assert result("ada", "bob", "cyd", "ada").verdict is Verdict.GO
    two = result("ada", "bob", "bob", "ada")
    assert (two.verdict, _ids(two.blocking)) == (Verdict.NO_GO, ["signoff.release-manager"])
    assert "2 people" in two.blocking[0].reason


def test_an_assisted_requirement_is_answered_by_an_attestation(facts):
    assert facts.judge({ASSISTED}, attestations=[facts.attestation(ASSISTED)]).verdict is Verdict.GO
    missing = facts.judge({ASSISTED})
    assert missing.verdict is Verdict.HOLD
    assert missing.blocking[0].hint.startswith(f"gonogo attest {ASSISTED} --version")
    other = facts.attestation(ASSISTED, fingerprint=facts.OTHER_PRINT)
    assert facts.judge({ASSISTED}, attestations=[other]).verdict is Verdict.HOLD


def test_of_a_measurement_and_a_statement_the_later_counts(facts):
    said = facts.attestation(ASSISTED)
    failed_before = facts.finding(ASSISTED, Answer.FAIL, measured_at=facts.NOW - facts.HOUR)
    failed_after = facts.finding(ASSISTED, Answer.FAIL, measured_at=facts.NOW)
    assert facts.judge({ASSISTED}, [failed_before], attestations=[said]).verdict is Verdict.GO
    assert facts.judge({ASSISTED}, [failed_after], attestations=[said]).verdict is Verdict.NO_GO


def test_a_recorded_pass_without_evidence_is_a_persons_word_and_ends_with_it(facts):
    recorded = facts.finding(ASSISTED, Answer.PASS, evidence=())
    said = facts.attestation(ASSISTED)
    assert facts.judge({ASSISTED}, [recorded], attestations=[said]).verdict is Verdict.GO
    assert facts.judge({ASSISTED}, [recorded]).verdict is Verdict.HOLD
    measured = facts.finding(ASSISTED, Answer.PASS, evidence=("ev-1",))
    assert facts.judge({ASSISTED}, [measured]).verdict is Verdict.GO


def test_a_statement_never_stands_in_for_what_a_machine_measures(facts):
    said = [facts.attestation(BLOCKER)]
    assert facts.judge({BLOCKER}, attestations=said).verdict is Verdict.HOLD


# Roll-ups

PARENT = "monitoring.enabled"
CHILDREN = [child.id for child in CATALOGUE.children(PARENT)]


def _family(facts, parent=Answer.PASS, **answers):
    changed = {CHILDREN[int(place.removeprefix("c"))]: answer for place, answer in answers.items()}
    rows = [facts.finding(child, changed.get(child, Answer.PASS)) for child in CHILDREN]
    return [*rows, facts.finding(PARENT, parent)]


def test_a_roll_up_follows_children_that_failed_since(facts):
    result = facts.judge({PARENT}, _family(facts, c0=Answer.FAIL))
    assert result.verdict is Verdict.NO_GO
    assert CHILDREN[0] in result.blocking[0].reason


def test_a_roll_up_with_an_unknown_child_is_unknown(facts):
    assert facts.judge({PARENT}, _family(facts)[1:]).verdict is Verdict.HOLD


def test_a_waived_child_waives_the_roll_up_above_it(facts):
    family = _family(facts, parent=Answer.FAIL, c1=Answer.FAIL)  # c1 is only required
    waivers = [facts.waiver(CHILDREN[1], "cyd")]
    result = facts.judge({PARENT, *CHILDREN}, family, waivers=waivers)
    assert (result.verdict, _ids(result.waived)) == (Verdict.GO, [PARENT, CHILDREN[1]])
    assert facts.answer_in(result, PARENT).answer is Answer.FAIL
    both = _family(facts, parent=Answer.FAIL, c1=Answer.FAIL, c2=Answer.FAIL)
    assert facts.judge({PARENT, *CHILDREN}, both, waivers=waivers).verdict is Verdict.NO_GO


def test_a_waived_child_beside_an_unknown_one_holds(facts):
    family = [
        one for one in _family(facts, parent=Answer.FAIL, c1=Answer.FAIL) if one.check_id != CHILDREN[2]
    ]
    result = facts.judge({PARENT}, family, waivers=[facts.waiver(CHILDREN[1], "cyd")])
    assert result.verdict is Verdict.HOLD


def test_a_roll_up_that_failed_for_a_reason_of_its_own_stays_failed(facts):
    family = _family(facts, parent=Answer.FAIL)
    assert facts.judge({PARENT}, family, waivers=[facts.waiver(CHILDREN[1], "cyd")]).verdict is Verdict.NO_GO


def test_a_roll_up_that_nobody_ran_or_built_stays_unknown(facts):
    family = _family(facts)[:-1]
    assert facts.judge({PARENT}, family).verdict is Verdict.HOLD
    unbuilt = facts.finding(PARENT, Answer.UNKNOWN, built=False)
    assert facts.judge({PARENT}, [*family, unbuilt]).verdict is Verdict.HOLD


def test_approvals_given_after_the_check_count_in_their_roll_up(facts):
    rows = [child.id for child in CATALOGUE.children("approval.all")]
    recorded = [facts.finding(name, Answer.FAIL) for name in rows[:4]]
    recorded += [facts.finding(rows[4]), facts.finding("approval.all", Answer.FAIL)]
    roles = {
        "ada": {Role.TECH_LEAD},
        "bob": {Role.OPERATIONS_MANAGER},
        "cyd": {Role.SECURITY},
        "dan": {Role.PRODUCT_MANAGER},
    }
    people = dict(zip(rows, ("ada", "cyd", "bob", "dan"), strict=False))
    given = [facts.sign_off(name, people[name]) for name in rows[:4]]
    assert facts.judge({"approval.all"}, recorded, sign_offs=given, roles=roles).verdict is Verdict.GO
    assert facts.judge({"approval.all"}, recorded, sign_offs=given[1:], roles=roles).verdict is Verdict.NO_GO


# Profiles


def test_the_full_profile_demands_all_366(facts):
    full = gate_profile("full", {})
    assert len(full.checks) == 366
    assert facts.judge(full.checks, [facts.finding(BLOCKER)]).verdict is Verdict.NO_GO


def test_a_profile_names_groups_and_its_reason():
    declared = {"demo": Profile(reason="a demonstration", checks=("tls.*", BLOCKER))}
    chosen = gate_profile("demo", declared)
    assert (chosen.reason, len(chosen.checks)) == ("a demonstration", 10)


def test_an_unknown_profile_and_a_pattern_for_nothing_are_refused():
    with pytest.raises(GonogoError) as refused:
        gate_profile("dmeo", {"demo": Profile(reason="r", checks=("tls.*",))})
    assert refused.value.error_id == "checklist.unknown-profile"
    assert "full, demo" in refused.value.message
    with pytest.raises(GonogoError) as refused:
        gate_profile("demo", {"demo": Profile(reason="r", checks=("tlss.*",))})
    assert refused.value.error_id == "checklist.unknown-pattern"
