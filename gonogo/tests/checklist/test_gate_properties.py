"""Rules of the gate that hold whatever is put before it."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checklist.roles import ROLE_OF
from gonogo.model.finding import Answer
from gonogo.model.people import Role
from gonogo.model.requirement import Severity
from gonogo.model.verdict import Verdict

GROUP = [row.id for row in CATALOGUE.select(["monitoring.*", "approval.*", "signoff.*", "people.primary-*"])]
SEVERE = [name for name in GROUP if CATALOGUE.get(name).severity is not Severity.ADVISORY]
PEOPLE = {
    "ada": frozenset({*ROLE_OF.values()}),
    "bob": frozenset({Role.OPERATIONS_LEAD}),
    "eve": frozenset(),
}

_minutes = st.integers(-180, 180)
_prints = st.sampled_from(["f" * 64, "f" * 64, "f" * 64, "0" * 64])
_findings = st.lists(
    st.tuples(
        st.sampled_from(GROUP),
        st.sampled_from(Answer),
        _prints,
        _minutes,
        _minutes,
        st.booleans(),
        st.booleans(),
    ),
    max_size=25,
)
_statements = st.lists(
    st.tuples(st.sampled_from(GROUP), st.sampled_from([*PEOPLE, "mallory"]), _prints, _minutes, _minutes),
    max_size=10,
)
_gated = st.sets(st.sampled_from(GROUP), max_size=12)


class World:
    """One drawn gate; ``judge`` takes more findings or other waivers."""

    def __init__(self, facts, gated, findings, attested, signed, waived) -> None:
        def at(minutes):
            return facts.NOW + timedelta(minutes=minutes)

        self._facts = facts
        self.gated = gated
        self.findings = [
            facts.finding(name, answer, fingerprint=made_for, measured_at=at(since), valid_until=at(until),
                          built=built, evidence=("ev-1",) if evident else ())
            for name, answer, made_for, since, until, built, evident in findings
        ]  # fmt: skip
        self.attestations = [
            facts.attestation(name, person=person, fingerprint=made_for, at=at(since), valid_until=at(until))
            for name, person, made_for, since, until in attested
        ]
        self.sign_offs = [
            facts.sign_off(name, person, fingerprint=made_for, at=at(since), valid_until=at(until))
            for name, person, made_for, since, until in signed
        ]
        self.waivers = [
            facts.waiver(name, person, starts_at=at(since), ends_at=at(until))
            for name, person, _, since, until in waived
        ]

    def judge(self, **changes):
        parts = {
            "findings": self.findings,
            "attestations": self.attestations,
            "sign_offs": self.sign_offs,
            "waivers": self.waivers,
        } | changes
        return self._facts.judge(self.gated, parts.pop("findings"), **parts, roles=PEOPLE)


_world = (_gated, _findings, _statements, _statements, _statements)


@given(*_world)
@settings(max_examples=150, deadline=None)
def test_a_gate_opens_only_if_nothing_severe_is_failed_or_unknown(
    facts, gated, findings, attested, signed, waived
):
    world = World(facts, gated, findings, attested, signed, waived)
    result = world.judge()
    excused = {one.check_id for one in result.waived}
    open_answers = {Answer.PASS, Answer.WARN, Answer.NOT_APPLICABLE}
    shut = [
        one
        for one in result.findings
        if one.check_id in SEVERE and one.answer not in open_answers and one.check_id not in excused
    ]
    assert {one.check_id for one in shut} == {one.check_id for one in result.blocking}
    if result.verdict is Verdict.GO:
        assert not shut
        assert any(one.answer in (Answer.PASS, Answer.WARN) for one in result.findings)
    elif result.verdict is Verdict.NO_GO:
        assert any(one.answer is Answer.FAIL for one in shut)
    assert all(one.answer is Answer.FAIL for one in result.waived), "an unknown is never waived"


@given(*_world, st.sampled_from(SEVERE))
@settings(max_examples=150, deadline=None)
def test_one_more_failure_never_opens_it(facts, gated, findings, attested, signed, waived, name):
    parent_of = {child.id: parent for parent, rows in CATALOGUE.children_by_id.items() for child in rows}
    excusable = {name, parent_of.get(name), *(child.id for child in CATALOGUE.children(name))}
    waived = [one for one in waived if one[0] not in excusable]
    world = World(facts, {*gated, name}, findings, attested, signed, waived)
    before = world.judge().verdict
    latest = max((one.measured_at for one in world.findings), default=facts.NOW)
    failed = facts.finding(name, Answer.FAIL, measured_at=max(latest, facts.NOW))
    after = world.judge(findings=[*world.findings, failed]).verdict
    assert not (before is not Verdict.GO and after is Verdict.GO)
    if CATALOGUE.get(name).kind not in ("attest", "assisted"):
        assert after is Verdict.NO_GO


@given(*_world, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_facts_come_changes_nothing(
    facts, gated, findings, attested, signed, waived, order
):
    world = World(facts, gated, findings, attested, signed, waived)
    first = world.judge()
    for part in (world.findings, world.attestations, world.sign_offs, world.waivers):
        order.shuffle(part)
    again = world.judge()
    assert (again.verdict, again.findings) == (first.verdict, first.findings)
    assert (again.blocking, again.waived, again.remarks) == (first.blocking, first.waived, first.remarks)


@given(*_world)
@settings(max_examples=100, deadline=None)
def test_waivers_past_their_end_change_nothing(facts, gated, findings, attested, signed, waived):
    world = World(facts, gated, findings, attested, signed, waived)
    ended = [one for one in world.waivers if one.ends_at <= facts.NOW]
    in_force = [one for one in world.waivers if one.ends_at > facts.NOW]
    assert world.judge(waivers=in_force) == world.judge(waivers=[*in_force, *ended])


@given(*_world)
@settings(max_examples=100, deadline=None)
def test_what_was_made_for_another_fingerprint_never_opens_it(
    facts, gated, findings, attested, signed, waived
):
    elsewhere = "0" * 64
    world = World(
        facts,
        gated,
        [(name, answer, elsewhere, *rest) for name, answer, _, *rest in findings],
        [(name, person, elsewhere, *rest) for name, person, _, *rest in attested],
        [(name, person, elsewhere, *rest) for name, person, _, *rest in signed],
        waived,
    )
    assert world.judge().verdict is not Verdict.GO


@given(*_world)
@settings(max_examples=60, deadline=None)
def test_everything_is_either_gated_or_outside_once(facts, gated, findings, attested, signed, waived):
    result = World(facts, gated, findings, attested, signed, waived).judge()
    assert [one.check_id for one in result.findings] == [row.id for row in CATALOGUE.all if row.id in gated]
    assert len(result.findings) + len(result.outside) == 366
