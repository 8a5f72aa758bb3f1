"""Whether a requirement applies here: its condition in words, judged from what is declared.

A condition is met, not met, or cannot be told. It is not met only where a declared fact says so (a base URL
without TLS) or where the group is left out openly in ``[not_applicable]``. What is merely not mentioned
cannot be told: it counts as applicable and unknown, so nothing vanishes silently. Facts that only a run can
see (a changed file, a rollback) are handed in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlsplit

from gonogo.config.schema import Environment, Settings
from gonogo.model.errors import GonogoError
from gonogo.model.requirement import Requirement

ALWAYS = "always"
NO_FACTS: Mapping[str, bool] = MappingProxyType({})


class Applies(StrEnum):
    """Whether a requirement is to be answered."""

    YES = "applies"
    NO = "not-applicable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Applicability:
    """The answer and its reason; ``until`` where the reason ends by itself (UTC)."""

    applies: Applies
    reason: str
    hint: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One wording of the checklist's column ``applies_when``.

    Attributes:
        group: the name under which ``[not_applicable]`` leaves it out and facts of a run decide it.
        declared: what the settings say: True, False, or None where they cannot say.
    """

    group: str
    declared: Callable[[Settings, Environment], bool | None]


def _not_declarable(_settings: Settings, _environment: Environment) -> bool | None:
    return None


def _has_staging(settings: Settings, _environment: Environment) -> bool | None:
    return True if "staging" in settings.environments else None


def _is_http(_settings: Settings, environment: Environment) -> bool | None:
    return True if urlsplit(environment.base_url).scheme in ("http", "https") else None


def _is_tls(_settings: Settings, environment: Environment) -> bool | None:
    return {"https": True, "http": False}.get(urlsplit(environment.base_url).scheme)


def _is_mcp(settings: Settings, _environment: Environment) -> bool | None:
    return True if settings.service.kind == "mcp" else None


def _writes_logs(_settings: Settings, environment: Environment) -> bool | None:
    return True if environment.log_file else None


def _open(group: str) -> Condition:
    return Condition(group, _not_declarable)


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "staging declared": Condition("staging", _has_staging),
        "service is exposed over HTTP": Condition("http", _is_http),
        "HTTP transport enabled": Condition("http", _is_http),
        "service is exposed over TLS": Condition("tls", _is_tls),
        "service is exposed over HTTPS": Condition("tls", _is_tls),
        "service terminates TLS": Condition("tls", _is_tls),
        "service accepts TLS 1.2": Condition("tls", _is_tls),
        "presented certificate is not self-signed": Condition("tls", _is_tls),
        "service kind = mcp or journey declared": Condition("journeys", _is_mcp),
        "service writes log files": Condition("log-files", _writes_logs),
        "load test declared": _open("load-test"),
        "external dependencies declared": _open("external-dependencies"),
        "service uses containers": _open("containers"),
        "service has persistent state": _open("state"),
        "dashboards declared": _open("dashboards"),
        "service uses OAuth": _open("oauth"),
        "service caches token results": _open("oauth"),
        "Slack declared": _open("slack"),
        "email declared": _open("email"),
        "PagerDuty declared": _open("pagerduty"),
        "paging system declared": _open("paging"),
        "Alertmanager declared": _open("alertmanager"),
        "war room declared": _open("war-room"),
        "support contact declared": _open("support"),
        "status page declared": _open("status-page"),
        "load balancer declared": _open("load-balancer"),
        "reverse proxy declared": _open("reverse-proxy"),
        "database declared": _open("database"),
        "service requires authentication": _open("authentication"),
        "service makes TLS connections": _open("outbound-tls"),
        "service keeps sessions": _open("sessions"),
        "service issues session ids or handles": _open("sessions"),
        "service has a cache": _open("cache"),
        "service emits traces": _open("traces"),
        "pinning declared": _open("pinning"),
        "public DNS name declared": _open("dns"),
        "connectivity matrix declared": _open("connectivity"),
        "host firewall or cloud rules declared": _open("firewall"),
        "log store declared": _open("log-store"),
        "log store declared for staging": _open("log-store"),
        "lead-time alert declared": _open("lead-time-alert"),
        "document declared": _open("readiness-document"),
        "Grafana declared": _open("grafana"),
        "TCP transport enabled": _open("tcp"),
        "SSE transport enabled": _open("sse"),
        "WebSocket transport enabled": _open("websocket"),
        "long-lived transport enabled": _open("long-lived-transports"),
        "previous version runnable": _open("previous-version"),
        "rollback triggered": _open("rollback-triggered"),
        "config changed in this release": _open("config-changed"),
        "runbooks changed in this release": _open("runbooks-changed"),
        "migration or breaking change detected": _open("migration"),
        "release has user-visible change or policy requires": _open("user-visible-change"),
        "change touches declared security-relevant paths or policy requires": _open("security-change"),
        "expected downtime > 0 or notice required": _open("downtime"),
    }
)

NOT_FOR_MCP = frozenset({"staging", "load-test"})
"""Groups that a service of kind mcp may not leave out."""


def applicability(
    requirement: Requirement,
    settings: Settings,
    environment_name: str,
    *,
    now: datetime,
    facts: Mapping[str, bool] = NO_FACTS,
) -> Applicability:
    """Whether ``requirement`` applies to an environment at ``now``.

    Args:
        facts: group to what this run has seen, such as ``{"rollback-triggered": False}``.

    Raises:
        GonogoError: ``checklist.unknown-group``, ``checklist.bad-date`` in ``[not_applicable]``.
    """
    _refuse_unknown_groups(settings)
    if requirement.applies_when == ALWAYS:
        return Applicability(Applies.YES, "always applies")
    condition = CONDITIONS[requirement.applies_when]
    environment = settings.environments[environment_name]
    met = facts.get(condition.group, condition.declared(settings, environment))
    if met:
        return Applicability(Applies.YES, f"applies: {requirement.applies_when}")
    if met is False:
        return Applicability(Applies.NO, f"does not apply: not so that {requirement.applies_when}")
    return _left_out(requirement, condition.group, settings, now)


def _left_out(requirement: Requirement, group: str, settings: Settings, now: datetime) -> Applicability:
    declared = settings.not_applicable.get(group)
    if declared is None:
        return _cannot_tell(requirement, group, "nothing declares it, and nothing leaves it out")
    if settings.service.kind == "mcp" and group in NOT_FOR_MCP:
        return _cannot_tell(requirement, group, "a service of kind mcp may not leave it out")
    if not declared.reason.strip() or not declared.by.strip():
        return _cannot_tell(requirement, group, "it is left out without a reason or a person")
    until = _end_of(declared.until, group)
    if now >= until:
        return _cannot_tell(requirement, group, f"it was left out until {declared.until}")
    reason = f"left out by {declared.by} until {declared.until}: {declared.reason}"
    return Applicability(Applies.NO, reason, until=until)


def _refuse_unknown_groups(settings: Settings) -> None:
    known = {condition.group for condition in CONDITIONS.values()}
    for group in settings.not_applicable:
        if group not in known:
            near = difflib.get_close_matches(group, known, n=1)
            raise GonogoError(
                "checklist.unknown-group",
                f"nothing can be left out under this name, got not_applicable.{group}",
                hint=f"did you mean {near[0]}?" if near else f"names are: {', '.join(sorted(known))}",
            )


def _cannot_tell(requirement: Requirement, group: str, why: str) -> Applicability:
    return Applicability(
        Applies.UNKNOWN,
        f"cannot tell whether it applies ({requirement.applies_when}): {why}",
        hint=f"declare it, or leave it out openly with [not_applicable.{group}] reason, by and until",
    )


def _end_of(day: str, group: str) -> datetime:
    try:
        last = date.fromisoformat(day)
    except ValueError as cause:
        raise GonogoError(
            "checklist.bad-date",
            f"not_applicable.{group}.until is no day, got {day!r}; expected YYYY-MM-DD",
        ) from cause
    return datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
