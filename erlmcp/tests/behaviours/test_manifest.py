"""Every behaviour of the manifest is tested in every cell that it names, and nothing else is claimed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from book import Behaviour, Claim, NoCellError, cell_of, differences, page, read_manifest

ROOT = Path(__file__).parents[3]
ONE = Behaviour("a.one", "One", "here", frozenset({("tcp", "modern"), ("http", "any")}))
CLAIMS = [Claim("a.one", ("tcp", "modern"), "t1"), Claim("a.one", ("http", "any"), "t2")]


def test_every_behaviour_is_tested_in_every_cell_and_no_test_claims_another(claims):
    found, faults = claims
    assert faults == []
    assert differences(read_manifest(), found) == []


def test_there_are_many_and_each_has_a_sentence_and_a_source():
    manifest = read_manifest()
    assert len(manifest) >= 150
    for each in manifest:
        assert each.says[0].isupper(), each.id
        assert each.source, each.id
        assert each.id.count(".") == 1, each.id


def _told_without(collect, path, name, cell):
    """What is told of one behaviour when the tests that prove it in one cell are not collected."""
    before, _ = collect(path)
    proofs = [claim.test for claim in before if (claim.id, claim.cell) == (name, cell)]
    assert proofs
    after, _ = collect(path, *(f"--deselect={test}" for test in proofs))
    wanted = [each for each in read_manifest() if each.id == name]
    return differences(wanted, [claim for claim in after if claim.id == name])


def test_a_test_that_is_removed_is_missed(collect):
    """The real thing: collect again without one test that alone proves a behaviour."""
    path = "erlmcp/tests/transports/duplex/test_websocket.py"
    told = _told_without(collect, path, "websocket.goodbye", ("websocket", "any"))
    assert told == ["websocket.goodbye: no test over websocket/any"]


def test_a_cell_that_is_not_tested_any_more_is_missed(collect):
    """As when somebody takes a transport out of the parameters of a test."""
    path = "erlmcp/tests/transports/duplex/test_shared_channels.py"
    told = _told_without(collect, path, "cancel.by-notification", ("tcp", "modern"))
    assert told == ["cancel.by-notification: no test over tcp/modern"]


@pytest.mark.parametrize(
    ("manifest", "claims_made", "told"),
    [
        ([ONE], CLAIMS, []),
        ([ONE], CLAIMS[:1], ["a.one: no test over http/any"]),
        ([ONE], [], ["a.one: no test over http/any", "a.one: no test over tcp/modern"]),
        ([], CLAIMS[:1], ["a.one: claimed by a test and not in the manifest"]),
        ([ONE, ONE], CLAIMS, ["a.one: twice in the manifest"]),
        (
            [ONE],
            [*CLAIMS, Claim("a.one", ("sse", "handshake"), "t3")],
            ["a.one: tested over sse/handshake, not in the manifest"],
        ),
        ([replace(ONE, cells=frozenset())], [], ["a.one: holds nowhere"]),
    ],
    ids=["all is well", "a cell", "a test", "an entry", "an id", "a cell too many", "no cell"],
)
def test_what_is_missing_or_too_much_is_told(manifest, claims_made, told):
    assert differences(manifest, claims_made) == told


def test_a_cell_comes_from_the_parameters_and_what_they_do_not_say_from_the_marker():
    assert cell_of({"dialect": ("tcp", "modern")}, {}) == ("tcp", "modern")
    assert cell_of({"modern_transport": "stdio"}, {}) == ("stdio", "modern")
    assert cell_of({"transport": "sse", "size": 1}, {"era": "handshake"}) == ("sse", "handshake")
    assert cell_of({"era": "modern"}, {"transport": "stdio"}) == ("stdio", "modern")
    assert cell_of({"client": ("http", "on_sdk")}, {"era": "modern"}) == ("http", "modern")
    assert cell_of({}, {"transport": "http", "era": "any"}) == ("http", "any")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, {}),
        ({}, {"transport": "http"}),
        ({"transport": "tcp"}, {"transport": "http", "era": "any"}),
        ({"dialect": ("tcp", "modern")}, {"era": "handshake"}),
        ({}, {"transport": "pigeon", "era": "any"}),
    ],
)
def test_a_marker_that_leaves_the_cell_open_or_claims_another_is_a_fault(parameters, said):
    with pytest.raises(NoCellError):
        cell_of(parameters, said)


def test_the_reference_page_is_current():
    written = (ROOT / "docs/reference/behaviours.md").read_text()
    assert written == page(read_manifest()), "write it again: its first lines say how"
