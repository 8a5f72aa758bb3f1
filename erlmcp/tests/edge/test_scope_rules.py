"""Which scopes a request needs, by the rules alone."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from erlmcp.config.auth_settings import AuthSettings
from erlmcp.edge.auth.scopes import ScopeRules, Scopes, idle_patterns, matches
from erlmcp.protocol.grants import Grant

EDIT = {"tools": ("delete_*", "rename"), "scopes": ("notes.write",)}
AUDIT = {"methods": ("resources/*",), "scopes": ("notes.read", "audit")}
PRIVATE = {"resources": ("notes://private/*",), "prompts": ("secret",), "scopes": ("private",)}
PATTERNS = st.text("ab*", max_size=8)
NAMES = st.text("ab", max_size=12)


def rules(*given, **more):
    return ScopeRules.of(AuthSettings.model_validate({"tokens_file": "tokens", "scopes": given, **more}))


def needed(judge, method, **params):
    """What a token with no scope at all is told that it lacks."""
    fault = judge.fault(method, params, Grant("t", client_id="c", good_until=0.0))
    return set() if fault is None else set(fault.data["scope"].split())


@pytest.mark.parametrize(
    ("method", "params", "scopes"),
    [
        ("tools/call", {"name": "delete_all"}, {"notes.write"}),
        ("tools/call", {"name": "delete_"}, {"notes.write"}),
        ("tools/call", {"name": "rename"}, {"notes.write"}),
        ("tools/call", {"name": "rename2"}, set()),
        ("tools/call", {"name": "Rename"}, set()),
        ("tools/call", {"name": ["rename"]}, set()),
        ("tools/call", {}, set()),
        ("tools/list", {}, set()),
        ("prompts/get", {"name": "rename"}, set()),
        ("prompts/get", {"name": "secret"}, {"private"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "secret"}}, {"private"}),
        ("completion/complete", {"ref": {"uri": "notes://private/{id}"}}, {"private"}),
        ("completion/complete", {"ref": "secret"}, set()),
        ("resources/list", {}, {"notes.read", "audit"}),
        ("resources/read", {"uri": "notes://open/1"}, {"notes.read", "audit"}),
        ("resources/read", {"uri": "notes://private/1"}, {"notes.read", "audit", "private"}),
        ("resources/subscribe", {"uri": "notes://private/1"}, {"notes.read", "audit", "private"}),
        (
            "subscriptions/listen",
            {"notifications": {"resourceSubscriptions": ["notes://open/1", "notes://private/1"]}},
            {"private"},
        ),
        ("subscriptions/listen", {"notifications": {"resourceSubscriptions": "notes://private/1"}}, set()),
    ],
)
def test_all_rules_that_apply_are_needed(method, params, scopes):
    assert needed(rules(EDIT, AUDIT, PRIVATE), method, **params) == scopes


@pytest.mark.parametrize(
    "uri",
    ["NOTES://private/1", "notes://p%72ivate/1", "Notes:%2F/private%2F1", "notes://open/%2e%2E/private/./1"],
)
def test_another_spelling_of_a_uri_is_not_a_way_around(uri):
    assert needed(rules(PRIVATE), "resources/read", uri=uri) == {"private"}


def test_the_fault_names_all_that_is_needed_so_that_one_new_token_will_do():
    fault = rules(EDIT, required_scopes=("notes.read",)).fault(
        "tools/call", {"name": "rename"}, Grant("t", client_id="c", good_until=0.0)
    )
    assert (fault.code, fault.http_status) == (-31403, 403)
    assert fault.data == {"error": "insufficient_scope", "scope": "notes.read notes.write"}
    assert 'scope="notes.read notes.write", error="insufficient_scope"' in fault.challenge


def test_a_request_whose_token_nobody_knows_has_no_scope():
    judge = rules(EDIT)
    assert judge.fault("tools/call", {"name": "rename"}, None) is not None
    assert not judge.may_call("rename", None)
    assert judge.may_call("add", None)


def test_a_broader_scope_is_worth_what_it_includes_at_any_remove_also_in_a_circle():
    broader = (
        {"scope": "admin", "includes": ("write", "admin")},
        {"scope": "write", "includes": ("read", "admin")},
    )
    scopes = Scopes(AuthSettings.model_validate({"broader_scopes": broader}))
    assert scopes.cover(frozenset({"admin"}), frozenset({"read", "write"}))
    assert not scopes.cover(frozenset({"read"}), frozenset({"write"}))
    assert not scopes.cover(frozenset(), frozenset({"read"}))


@given(PATTERNS, NAMES)
def test_a_pattern_means_what_a_shell_means_by_a_star(pattern, name):
    assert matches(pattern, name) == fnmatchcase(name, pattern)


def test_many_stars_and_a_long_name_take_no_long_time():
    assert not matches("*a" * 500 + "b", "a" * 1_000_000)


def test_names_that_clients_invent_are_remembered_up_to_a_number(monkeypatch):
    monkeypatch.setattr("erlmcp.edge.auth.scopes._MAX_KEPT", 3)
    judge = rules({"tools": ("*",), "scopes": ("all",)})
    grant = Grant("t", client_id="c", good_until=0.0, scopes=frozenset({"all"}))
    for number in range(10):
        assert judge.may_call(f"tool{number}", grant)
    assert judge.may_call("x" * 1_000, grant)
    assert len(judge._of_tool) <= 3
    assert max(map(len, judge._of_tool)) < 1_000


def test_without_rules_nothing_is_asked():
    assert rules() is None
    assert ScopeRules.of(AuthSettings.model_validate({"scopes": (EDIT,)})) is None, "nobody has a token"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"scopes": ("a",)}, "methods, tools, prompts or resources"),
        ({"scopes": (), "tools": ("a",)}, "at least 1"),
        ({"scopes": ("a b",), "tools": ("a",)}, "match pattern"),
        ({"scopes": ('a"',), "tools": ("a",)}, "match pattern"),
        ({"scopes": ("a",), "tools": ("",)}, "at least 1"),
        ({"scopes": ("a",), "methods": ("tool/call",)}, "such as tools/call"),
        ({"scopes": ("a",), "methods": ("delete",)}, "needs a *"),
        ({"scopes": ("a",), "tool": ("a",)}, "not permitted"),
    ],
)
def test_a_rule_that_would_protect_nothing_is_refused(rule, said):
    with pytest.raises(ValidationError, match="(?s)" + said.replace("*", r"\*")):
        AuthSettings.model_validate({"scopes": (rule,)})


def test_patterns_that_protect_nothing_offered_are_found_and_what_is_not_known_is_not_judged():
    given = rules(EDIT, AUDIT, PRIVATE)._rules
    assert list(idle_patterns(given, {"tools": ["delete_all"], "prompts": ["public"]})) == [
        ("tools", "rename"),
        ("prompts", "secret"),
    ]
    assert list(idle_patterns(given, {"tools": ["rename", "delete_"]})) == []
    assert list(idle_patterns(given, {})) == []
