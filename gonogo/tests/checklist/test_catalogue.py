"""The catalogue is the whole checklist, and its roll-ups are those that the text means."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

import pytest

from gonogo.checklist.catalogue import CATALOGUE, COLUMNS, COMPUTED, SIZE, read_catalogue
from gonogo.checklist.freshness import default_validity
from gonogo.checklist.roles import FINAL_SIGN_OFF, ROLE_OF
from gonogo.model.errors import GonogoError
from gonogo.model.requirement import Kind, Severity

WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}

SAYS_ANOTHER_NUMBER = {
    "load.results": 6,  # "the five measures of one load run and its offered load": five and one
}
SAYS_NO_NUMBER = {"tls.configured": 8, "approval.all": 5, "training.tier1": 5, "training.tier2": 5}

TABLE = resources.files("gonogo.checklist").joinpath("requirements.tsv").read_text("utf-8")


def test_all_366_requirements_are_there_in_the_documents_order():
    assert len(CATALOGUE.all) == SIZE == 366
    assert [row.number for row in CATALOGUE.all] == list(range(1, 367))
    assert len({row.id for row in CATALOGUE.all}) == 366


def test_the_counts_by_kind_phase_and_severity_are_the_checklists():
    assert Counter(str(row.kind) for row in CATALOGUE.all) == {
        "auto-static": 51,
        "auto-probe": 111,
        "auto-exercise": 72,
        "auto-derived": 74,
        "assisted": 49,
        "attest": 9,
    }
    phases = {"1": 113, "2": 64, "3": 55, "4": 23, "5": 71, "6": 36, "S": 4}
    assert Counter(row.phase for row in CATALOGUE.all) == phases
    assert Counter(row.severity for row in CATALOGUE.all) == {
        Severity.BLOCKER: 211,
        Severity.REQUIRED: 144,
        Severity.ADVISORY: 11,
    }


def test_boxes_count_up_within_their_section():
    for before, after in zip(CATALOGUE.all, CATALOGUE.all[1:], strict=False):
        position = int(after.box.split("/")[1])
        expected = int(before.box.split("/")[1]) + 1 if before.section == after.section else 1
        assert position == expected, after.box


def _roll_ups():
    return [row for row in CATALOGUE.all if row.kind is Kind.DERIVED and row.id not in COMPUTED]


@pytest.mark.parametrize("row", _roll_ups(), ids=lambda row: row.id)
def test_a_roll_up_has_as_many_children_as_its_text_says(row):
    said = re.search(rf"\b({'|'.join(WORDS)})\b", row.method)
    if row.id in SAYS_NO_NUMBER:
        expected = SAYS_NO_NUMBER[row.id]
    elif row.id in SAYS_ANOTHER_NUMBER:
        expected = SAYS_ANOTHER_NUMBER[row.id]
    else:
        assert said, f"{row.id} says no number: {row.method}"
        expected = WORDS[said[1]]
    assert len(CATALOGUE.children(row.id)) == expected


def test_what_says_roll_up_is_one_and_what_is_computed_does_not_say_so():
    for row in CATALOGUE.all:
        if row.kind is not Kind.DERIVED:
            continue
        says_so = re.search(r"[Rr]oll up|children read|check all six parts", row.method) is not None
        assert says_so == (row.id not in COMPUTED), row.id


def test_every_child_has_one_parent_of_its_own_section_and_no_roll_up_is_a_child():
    parents = Counter(child.id for row in _roll_ups() for child in CATALOGUE.children(row.id))
    assert set(parents.values()) == {1}
    for row in _roll_ups():
        assert row.id not in parents
        assert {child.section for child in CATALOGUE.children(row.id)} == {row.section}


def test_outside_roll_ups_stand_only_the_steps_of_a_deployment_and_the_final_sign_off():
    parents = {child.id for row in _roll_ups() for child in CATALOGUE.children(row.id)}
    alone = [row for row in CATALOGUE.all if row.id not in parents and row not in _roll_ups()]
    assert {row.section for row in alone} == {"4.2", "4.3", "S"}


def test_a_row_that_is_no_roll_up_has_no_children():
    assert CATALOGUE.children("tls.hsts") == ()
    assert CATALOGUE.children("baseline.stored") == ()


def test_every_row_of_kind_attest_has_its_role_and_no_other_has():
    assert {row.id for row in CATALOGUE.all if row.kind is Kind.ATTEST} == set(ROLE_OF)
    assert [row.id for row in CATALOGUE.all if row.section == "S"] == list(FINAL_SIGN_OFF)
    assert len(set(ROLE_OF.values())) == len(ROLE_OF), "a role alone names what it signs"


def test_an_unknown_id_is_answered_with_the_nearest():
    with pytest.raises(GonogoError) as refused:
        CATALOGUE.get("tls.hst")
    assert refused.value.error_id == "checklist.unknown-requirement"
    assert "tls.hsts" in refused.value.hint


def test_patterns_select_in_document_order_without_doubles():
    chosen = [row.id for row in CATALOGUE.select(["signoff.*", "tls.h*", "tls.hsts"])]
    assert chosen == ["tls.hsts", "tls.hostname-verification", "tls.handshake-command", *FINAL_SIGN_OFF]
    assert CATALOGUE.select(["*"]) == CATALOGUE.all
    assert CATALOGUE.select([]) == ()


@pytest.mark.parametrize(
    ("pattern", "hint"), [("tsl.*", "tls.*"), ("zzz", "groups are"), ("monitorng.*", "monitoring.*")]
)
def test_a_pattern_that_matches_nothing_is_answered_with_what_there_is(pattern, hint):
    with pytest.raises(GonogoError) as refused:
        CATALOGUE.select(["build.*", pattern])
    assert refused.value.error_id == "checklist.unknown-pattern"
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.replace("seed_ref", "ref", 1), "columns"),
        (lambda table: "\n".join(table.splitlines()[:-1]), "365 rows"),
        (lambda table: table.replace("\ttls.hsts\t", "\ttls.pinning\t"), "unique"),
        (lambda table: table.replace("\tattest\t", "\tattested\t", 1), "attested"),
        (lambda table: table.replace("\tblocker\t", "\tsevere\t", 1), "severe"),
        (lambda table: table.replace("\talways\n", "\n", 1), "a row needs"),
        (lambda table: table.replace("\tlog.who\t", "\tlog.whom\t"), "computed"),
        (lambda table: "", "columns"),
    ],
)
def test_a_table_that_is_not_the_checklist_is_refused(change, said):
    assert change(TABLE) != TABLE
    with pytest.raises(ValueError, match=said):
        read_catalogue(change(TABLE))


def test_the_table_has_its_columns_and_nothing_quoted():
    assert TABLE.splitlines()[0].split("\t") == list(COLUMNS)
    assert '"' not in TABLE


@pytest.mark.parametrize(
    ("requirement", "hours"),
    [
        ("monitoring.health-endpoints", 1),
        ("transport.keepalive-intervals", 4),
        ("load.p99-latency", 24),
        ("regression.performance", 24),
        ("channels.slack-webhook", 24),
        ("drill.rollback", 90 * 24),
        ("training.severity-levels", 180 * 24),
        ("people.primary-identified", 24),
        ("signoff.build-lead", 24),
        ("training.tier1", 1),
        ("build.types-clean", 7 * 24),
    ],
)
def test_answers_stay_true_as_long_as_their_kind_and_group_say(requirement, hours):
    assert default_validity(CATALOGUE.get(requirement)).total_seconds() == hours * 3600
