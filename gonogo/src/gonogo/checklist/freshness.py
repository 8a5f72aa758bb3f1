"""How long an answer stays true when nothing says otherwise.

A finding older than this, or made for another fingerprint, is stale, and stale is unknown.
"""

from __future__ import annotations

from datetime import timedelta

from gonogo.model.requirement import Kind, Requirement

_BY_GROUP = {
    "channels": timedelta(hours=24),
    "comms": timedelta(hours=24),
    "deps": timedelta(hours=24),
    "drill": timedelta(days=90),
    "fallback": timedelta(hours=24),
    "load": timedelta(hours=24),
    "people": timedelta(hours=24),
    "escalation": timedelta(hours=24),
    "regression": timedelta(hours=24),
    "runbooks": timedelta(days=90),
    "training": timedelta(days=180),
    "window": timedelta(hours=24),
}

_BY_KIND = {
    Kind.STATIC: timedelta(days=7),  # bound to the commit; the limit is for what drifts around it
    Kind.PROBE: timedelta(hours=1),
    Kind.EXERCISE: timedelta(hours=4),
    Kind.DERIVED: timedelta(hours=1),
    Kind.ASSISTED: timedelta(hours=24),
    Kind.ATTEST: timedelta(hours=24),
}


def default_validity(requirement: Requirement) -> timedelta:
    """The validity of an answer to ``requirement``: its group's, else its kind's."""
    group = requirement.id.split(".", 1)[0]
    if requirement.kind is Kind.DERIVED:
        return _BY_KIND[Kind.DERIVED]
    return _BY_GROUP.get(group, _BY_KIND[requirement.kind])
