"""Facts to JSON objects and back, without loss. What the journal's bodies are made of.

It knows no particular fact: any frozen dataclass of this package goes through. It is not the canonical
encoding that is hashed; that is ``gonogo.journal.canonical``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

Fact = TypeVar("Fact")

_FLOAT = "$float"  # JSON has no infinity, but a histogram's last bucket is bounded by it


def to_json(fact: object) -> dict[str, Any]:
    """The fact as a JSON object: times in ISO 8601, sets sorted, infinities as ``{"$float": "inf"}``."""
    plain: dict[str, Any] = _without_infinity(msgspec.to_builtins(fact, order="deterministic"))
    return plain


def from_json(fact_type: type[Fact], body: Mapping[str, Any]) -> Fact:
    """The fact that ``to_json`` made ``body`` of.

    Raises:
        ValueError: the body does not fit ``fact_type``; the message says where.
    """
    return msgspec.convert(_with_infinity(body), fact_type)


def _without_infinity(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if isinstance(value, Mapping):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinity(item) for item in value]
    return value


def _with_infinity(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {_FLOAT}:
            return float(value[_FLOAT])
        return {key: _with_infinity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_infinity(item) for item in value]
    return value
