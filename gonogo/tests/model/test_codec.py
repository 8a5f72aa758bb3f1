"""Facts survive their JSON form unchanged."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonogo.journal.canonical import canonical_json
from gonogo.model.codec import from_json, to_json
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Answer, Finding
from gonogo.model.people import Attestation, Person, Role, SignOff, Waiver
from gonogo.model.release import Fingerprint, Release
from gonogo.model.watch import Judgement, Outcome

FACTS = (Finding, Attestation, SignOff, Waiver, Evidence, Person, Release, Judgement)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_number = st.floats(allow_nan=False)
for kind, strategy in (
    (str, _text),
    (float, _number),
    (datetime, st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))),  # noqa: DTZ001 - hypothesis
):
    st.register_type_strategy(kind, strategy)


@given(st.one_of(*(st.builds(fact) for fact in FACTS)))
def test_every_fact_comes_back_equal_from_its_canonical_text(fact):
    text = canonical_json(to_json(fact))
    assert from_json(type(fact), json.loads(text)) == fact


def test_infinity_has_a_form_that_json_can_hold():
    judged = Judgement("latency", Outcome.PASS, "r", None, math.inf, -math.inf, 1.25, 3, 2.5)
    body = to_json(judged)
    assert (body["candidate"], body["bound"]) == ({"$float": "inf"}, {"$float": "-inf"})
    assert from_json(Judgement, body) == judged


def test_sets_are_sorted_so_that_the_same_fact_gives_the_same_bytes():
    person = Person("ada", "Ada", "a@x", "+1", frozenset({Role.TECH_LEAD, Role.BACKUP, Role.PRIMARY}), ())
    assert to_json(person)["roles"] == ["backup", "primary", "tech-lead"]


@pytest.mark.parametrize(
    "change", [{"answer": "maybe"}, {"measured_at": "yesterday"}, {"evidence": "ev-1"}, {"id": None}]
)
def test_a_body_that_does_not_fit_is_refused_with_its_place(change):
    at = datetime(2026, 11, 23, tzinfo=UTC)
    body = to_json(Finding("fi-1", "a", "s", Answer.PASS, "r", None, (), "f", at, at)) | change
    with pytest.raises(ValueError, match=next(iter(change))):
        from_json(Finding, body)


def test_a_fingerprint_is_bound_to_each_of_its_parts():
    whole = Fingerprint("c", "a", "b", "d")
    parts = {Fingerprint("x", "a", "b", "d"), Fingerprint("c", "x", "b", "d"),
             Fingerprint("c", "a", "x", "d"), Fingerprint("c", "a", "b", "x")}  # fmt: skip
    assert whole.digest not in {other.digest for other in parts}
