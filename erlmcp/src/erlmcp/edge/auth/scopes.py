"""Which scopes a request needs: the rules of ``[[auth.scopes]]``, and scopes that include others.

The method, and whatever tool, prompt or resource a request names, decide. A client whose token has too few is
told all that the request needs, so that it can ask its issuer for them at once (step-up; MCP, authorization).
That a token must have some scopes for anything at all is ``gate``; where requests are judged is
``erlmcp.transports``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from erlmcp.config.auth_settings import AuthSettings, ScopeRule
from erlmcp.edge.auth.challenge import challenge
from erlmcp.edge.auth.metadata import metadata_url
from erlmcp.protocol.faults import INSUFFICIENT_SCOPE, Fault
from erlmcp.protocol.grants import INSUFFICIENT_SCOPE as ERROR
from erlmcp.protocol.grants import Denial, Grant

CALL: Final = "tools/call"
_READS: Final = ("resources/read", "resources/subscribe", "resources/unsubscribe")
_MAX_KEPT: Final = 1_024
_MAX_KEPT_NAME: Final = 128
"""Names come from clients: what is remembered of them is bounded in number and length."""

Named = tuple[str, str]
"""A kind (``tools``, ``prompts``, ``resources``) and a name of that kind."""


class Scopes:
    """What a scope is worth: itself, and what it includes by ``[[auth.broader_scopes]]``, at any remove."""

    def __init__(self, settings: AuthSettings) -> None:
        self._includes = {each.scope: each.includes for each in settings.broader_scopes}
        self._worth: dict[frozenset[str], frozenset[str]] = {}

    def cover(self, held: frozenset[str], needed: frozenset[str]) -> bool:
        """Whether a token with the scopes ``held`` has all that is needed."""
        return needed <= held or (bool(self._includes) and needed <= self._worth_of(held))

    def _worth_of(self, held: frozenset[str]) -> frozenset[str]:
        found = self._worth.get(held)
        if found is None:
            worth, new = set(held), list(held)
            while new:
                included = set(self._includes.get(new.pop(), ())) - worth
                worth |= included
                new.extend(included)
            if len(self._worth) >= _MAX_KEPT:
                self._worth.clear()
            found = self._worth[held] = frozenset(worth)
        return found


class ScopeRules:
    """Judges requests by the scopes of their token."""

    def __init__(self, settings: AuthSettings) -> None:
        self._rules = settings.scopes
        self._always = frozenset(settings.required_scopes)
        self._scopes = Scopes(settings)
        self._metadata_url = metadata_url(settings)
        self._of_tool: dict[str, frozenset[str]] = {}

    @classmethod
    def of(cls, settings: AuthSettings) -> ScopeRules | None:
        """The rules; None where there are none, or nobody is asked for a token."""
        return cls(settings) if settings.enabled and settings.scopes else None

    def may_call(self, tool: str, grant: Grant | None) -> bool:
        """Whether a tool may be called with this token; this runs for every call."""
        needed = self._of_tool.get(tool)
        if needed is None:
            needed = self._needed(CALL, (("tools", tool),))
            if len(tool) <= _MAX_KEPT_NAME:
                if len(self._of_tool) >= _MAX_KEPT:
                    self._of_tool.clear()
                self._of_tool[tool] = needed
        return not needed or (grant is not None and self._scopes.cover(grant.scopes, needed))

    def fault(self, method: str, params: Mapping[str, Any] | None, grant: Grant | None) -> Fault | None:
        """Why a request may not be served with this token; None when it may."""
        needed = self._needed(method, tuple(_named(method, params or {})))
        if not needed or (grant is not None and self._scopes.cover(grant.scopes, needed)):
            return None
        every = tuple(sorted(needed | self._always))
        denial = Denial(403, ERROR, "the token lacks a scope that this request needs", every)
        data = {"error": ERROR, "scope": " ".join(every)}
        if self._metadata_url:
            data["resource_metadata"] = self._metadata_url
        return Fault(
            INSUFFICIENT_SCOPE,
            f"Forbidden: {denial.description}",
            data,
            challenge=challenge(denial, metadata_url=self._metadata_url),
        )

    def _needed(self, method: str, named: tuple[Named, ...]) -> frozenset[str]:
        rules = (each for each in self._rules if _applies(each, method, named))
        return frozenset(scope for rule in rules for scope in rule.scopes)


def idle_patterns(
    rules: Iterable[ScopeRule], offered: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, str]]:
    """Patterns of ``tools`` and ``prompts`` that protect none of those offered: most often a slip of the pen.

    Yields:
        The kind and the pattern; none of a kind that is not known.
    """
    for rule in rules:
        patterns = {"tools": rule.tools, "prompts": rule.prompts}
        for kind, names in offered.items():
            for pattern in patterns[kind]:
                if not any(matches(pattern, name) for name in names):
                    yield kind, pattern


def _applies(rule: ScopeRule, method: str, named: Iterable[Named]) -> bool:
    if any(matches(pattern, method) for pattern in rule.methods):
        return True
    patterns = {"tools": rule.tools, "prompts": rule.prompts, "resources": rule.resources}
    return any(matches(pattern, name) for kind, name in named for pattern in patterns[kind])


def matches(pattern: str, name: str) -> bool:
    """Whether a name is what a pattern says, in which ``*`` stands for any text; case counts.

    It takes time in proportion to their lengths, whatever a client makes up.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *inner, last = rest
    if not name.startswith(first):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in inner:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end and name.endswith(last)


def _named(method: str, params: Mapping[str, Any]) -> Iterator[Named]:
    """What a request names. What is no text names nothing, and is refused later."""
    if method == CALL:
        yield from _texts("tools", params.get("name"))
    elif method == "prompts/get":
        yield from _texts("prompts", params.get("name"))
    elif method in _READS:
        yield from _uris(params.get("uri"))
    elif method == "completion/complete":
        ref = params.get("ref")
        if isinstance(ref, dict):
            yield from _texts("prompts", ref.get("name"))
            yield from _uris(ref.get("uri"))
    elif method == "subscriptions/listen":
        wanted = params.get("notifications")
        uris = wanted.get("resourceSubscriptions") if isinstance(wanted, dict) else None
        for uri in uris if isinstance(uris, list) else ():
            yield from _uris(uri)


def _texts(kind: str, value: Any) -> Iterator[Named]:
    if isinstance(value, str):
        yield kind, value


def _uris(value: Any) -> Iterator[Named]:
    """A URI as it was sent, and as others may write the same one: guests differ in what they make of it."""
    if isinstance(value, str):
        scheme, colon, rest = value.partition(":")
        plain = unquote(rest)
        for form in {value, scheme.lower() + colon + plain, scheme.lower() + colon + normpath(plain)}:
            yield "resources", form
