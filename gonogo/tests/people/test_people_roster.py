"""The roster knows people by id and role, and keeps keys apart."""

from __future__ import annotations

import pytest

from gonogo.config.schema import PersonConfig
from gonogo.model.errors import GonogoError
from gonogo.model.people import Role
from gonogo.people.roster import Roster


def _config(*keys: str) -> PersonConfig:
    return PersonConfig(name="Bob", email="bob@example.com", phone="+1", ssh_keys=keys)


def test_people_are_found_by_id_and_by_role(roster):
    assert roster.get("ada").name == "Ada"
    assert [person.id for person in roster.with_role(Role.OPERATIONS_LEAD)] == ["bob"]
    assert roster.with_role(Role.PRODUCT_MANAGER) == ()
    assert roster.roles["cyd"] == {Role.SECURITY_OFFICER}


def test_an_unknown_person_is_answered_with_the_nearest(roster):
    with pytest.raises(GonogoError) as refused:
        roster.get("adda")
    assert refused.value.error_id == "people.unknown-person"
    assert refused.value.hint == "did you mean ada?"


def test_nobody_at_all_is_a_roster_too():
    with pytest.raises(GonogoError) as refused:
        Roster({}).get("ada")
    assert "[people.ada]" in refused.value.hint


def test_two_people_cannot_have_one_key(roster):
    line = roster.get("ada").ssh_keys[0]
    Roster({"ada": _config(line, line)})
    with pytest.raises(GonogoError) as refused:
        Roster({"ada": _config(line), "bob": _config(line.rsplit(" ", 1)[0] + " another comment")})
    assert refused.value.error_id == "people.shared-key"
    assert "ada and bob" in refused.value.message


def test_a_key_that_is_none_is_named_with_its_owner():
    with pytest.raises(GonogoError) as refused:
        Roster({"bob": _config("ssh-ed25519 oops")})
    assert refused.value.error_id == "people.bad-key"
    assert "bob" in refused.value.message
