"""Readings made of JSON: how a probe hands structured facts to its judge, through the evidence.

A judge reads only what stands in the evidence, so that every ruling can be made again from the record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gonogo.model.evidence import Reading


def json_reading(source: str, facts: object) -> Reading:
    """``facts`` as a reading; the order of keys is kept."""
    return Reading(source, "application/json", json.dumps(facts, ensure_ascii=False, indent=1).encode())


def facts_of(readings: Sequence[Reading], source: str | None = None) -> Any:
    """What ``json_reading`` wrote: from ``source``, or from the first reading.

    Raises:
        LookupError: there is no such reading.
        ValueError: it is not JSON.
    """
    for reading in readings:
        if source is None or reading.source == source:
            return json.loads(reading.body)
    raise LookupError(f"no reading of {source!r}")
