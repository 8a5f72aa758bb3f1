"""Session ids: what is sealed can be opened by the ring, and nothing else can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.sessions.sealed import (
    MAX_ID_CHARS,
    KeyRing,
    SessionFacts,
    SessionTooLargeError,
    UnknownSessionError,
    new_sid,
)

KEY = bytes(range(32))
RING = KeyRing([KEY])
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=10)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def facts(**client) -> SessionFacts:
    return SessionFacts(new_sid(), 1_800_000_000, "2025-11-25", client)


@given(st.dictionaries(st.text(max_size=10), plain, max_size=4))
def test_what_is_sealed_comes_out_again_and_the_id_may_stand_in_a_header(client):
    sealed = facts(**client)
    session_id = RING.seal(sealed)
    assert RING.unseal(session_id) == sealed
    assert all(0x21 <= ord(letter) <= 0x7E for letter in session_id)


@given(st.data())
def test_an_id_with_any_one_letter_changed_is_unknown(data):
    session_id = RING.seal(facts(clientInfo={"name": "n", "version": "1"}))
    place = data.draw(st.integers(0, len(session_id) - 1))
    letter = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
    changed = session_id[:place] + letter + session_id[place + 1 :]
    if changed != session_id:
        with pytest.raises(UnknownSessionError):
            RING.unseal(changed)


@given(st.text(max_size=200))
def test_no_text_whatever_raises_anything_but_unknown(text):
    with pytest.raises(UnknownSessionError):
        RING.unseal(text)


def test_keys_can_be_changed_without_ending_a_session():
    old, new = KeyRing.generate(), KeyRing.generate()
    sealed = facts()
    session_id = KeyRing([old]).seal(sealed)
    assert KeyRing([new, old]).unseal(session_id) == sealed
    assert KeyRing([new]).unseal(KeyRing([new, old]).seal(sealed)) == sealed
    with pytest.raises(UnknownSessionError):
        KeyRing([new]).unseal(session_id)


def test_derived_keys_differ_by_purpose_and_key_and_agree_between_rings():
    other = KeyRing.generate()
    derived = KeyRing([KEY, other]).derived("a")
    assert derived == KeyRing([KEY, other]).derived("a")
    assert len({*derived, *RING.derived("b"), KEY, other}) == 5


def test_a_ring_whose_keys_are_replaced_opens_with_the_new_ones_alone_and_tells_its_followers():
    old, new = KeyRing.generate(), KeyRing.generate()
    ring = KeyRing([old])
    told = []
    ring.follow("purpose", told.append)
    session_id = ring.seal(facts())
    ring.replace([old])
    assert (ring.version, len(told)) == (0, 1), "nothing has changed"
    ring.replace([new, old, new])
    assert ring.unseal(session_id)
    assert told[-1] == KeyRing([new, old]).derived("purpose")
    ring.replace([new])
    with pytest.raises(UnknownSessionError):
        ring.unseal(session_id)
    assert (ring.version, told[-1]) == (2, KeyRing([new]).derived("purpose"))
    with pytest.raises(ValueError, match="key"):
        ring.replace([])
    assert ring.unseal(KeyRing([new]).seal(facts()))


def test_two_ids_of_the_same_facts_differ():
    sealed = facts()
    assert RING.seal(sealed) != RING.seal(sealed)


def test_an_id_is_never_longer_than_its_bound():
    length = 0
    while True:
        try:
            session_id = RING.seal(facts(x="y" * length))
        except SessionTooLargeError:
            break
        assert len(session_id) <= MAX_ID_CHARS
        length += 50
    assert length > 2500


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, KEY[:31]]])
def test_a_ring_without_good_keys_is_refused(keys):
    with pytest.raises(ValueError, match="key"):
        KeyRing(keys)
