"""Reads the admin listener of an erlmcp server: health, readiness, configuration, listeners, metrics.

It only reads; changing anything is ``adapters.erlmcp_control``. Metrics are parsed strictly: a page that
is not wholly valid is a fault, since a half-read page would undercount errors.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gonogo.adapters.http import HttpAnswer, HttpError, HttpReader
from gonogo.model.errors import GonogoError
from gonogo.model.watch import Sample

REQUESTS = "erlmcp_requests"
DURATION = "erlmcp_request_duration_seconds"
IN_FLIGHT = "erlmcp_in_flight_requests"
CONNECTIONS = "erlmcp_connections"
MEMORY = "erlmcp_process_resident_memory_bytes"
CPU = "erlmcp_process_cpu_seconds"
GENERATION_INFO = "erlmcp_generation_info"
ERROR_OUTCOMES = frozenset({"server_error", "timeout"})

Series = tuple[str, Mapping[str, str], float]


class MetricsError(GonogoError):
    """The metrics page cannot be trusted."""


class Metrics:
    """A parsed metrics page.

    Attributes:
        families: family name (counters without ``_total``) to its series: sample name, labels, value.
    """

    def __init__(self, families: Mapping[str, list[Series]]) -> None:
        self.families = families

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Parse strictly.

        Raises:
            MetricsError: metrics.not-parsable, metrics.duplicate or metrics.not-a-number.
        """
        families: dict[str, list[Series]] = {}
        seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
        try:
            for family in text_string_to_metric_families(text):
                series = families.setdefault(family.name, [])
                for sample in family.samples:
                    key = (sample.name, frozenset(sample.labels.items()))
                    if key in seen:
                        raise MetricsError(
                            "metrics.duplicate", f"{sample.name} has two series with the same labels"
                        )
                    seen.add(key)
                    series.append((sample.name, dict(sample.labels), float(sample.value)))
        except MetricsError:
            raise
        except Exception as error:  # the parser raises whatever its input breaks
            raise MetricsError(
                "metrics.not-parsable", f"the metrics page does not parse: {str(error)[:200]}"
            ) from error
        if any(
            math.isnan(value) for name, _, value in _all(families) if name.endswith(("_total", "_bucket"))
        ):
            raise MetricsError("metrics.not-a-number", "a counter is NaN; expected a number")
        return cls(families)

    def sum(self, family: str, *, suffix: str = "", **labels: str) -> float | None:
        """Sum of the matching series; None if there is none."""
        values = [
            value
            for name, found, value in self.families.get(family, [])
            if name == family + suffix and all(found.get(k) == v for k, v in labels.items())
        ]
        return sum(values) if values else None

    def active_generation(self) -> str | None:
        """The generation that serves the public listeners, if exactly one does."""
        active = [
            labels.get("generation", "")
            for _, labels, value in self.families.get(GENERATION_INFO, [])
            if labels.get("state") == "active" and value == 1
        ]
        return active[0] if len(active) == 1 else None

    def sample(self, generation: str, *, at: datetime, healthy: bool) -> Sample:
        """The counters of one generation.

        Raises:
            MetricsError: metrics.missing, when a family that the sample needs has no series of it.
        """
        outcomes: defaultdict[str, float] = defaultdict(float)
        for name, labels, value in self.families.get(REQUESTS, []):
            if name == REQUESTS + "_total" and labels.get("generation") == generation:
                outcomes[labels.get("outcome", "")] += value
        return Sample(
            at=at,
            requests=round(sum(outcomes.values())),
            errors=round(sum(count for outcome, count in outcomes.items() if outcome in ERROR_OUTCOMES)),
            latency_buckets=self._buckets(generation),
            in_flight=round(self._need(IN_FLIGHT, generation)),
            connections=round(self._need(CONNECTIONS, generation)),
            memory_bytes=round(self._need(MEMORY, generation)),
            cpu_s=self._need(CPU, generation, "_total"),
            healthy=healthy,
        )

    def _need(self, family: str, generation: str, suffix: str = "") -> float:
        value = self.sum(family, suffix=suffix, generation=generation)
        if value is None:
            raise MetricsError(
                "metrics.missing", f"no series of {family}{suffix} for generation {generation!r}"
            )
        return value

    def _buckets(self, generation: str) -> tuple[tuple[float, int], ...]:
        counts: defaultdict[float, float] = defaultdict(float)
        for name, labels, value in self.families.get(DURATION, []):
            if name == DURATION + "_bucket" and labels.get("generation") == generation:
                counts[float(labels["le"])] += value
        return tuple((bound, round(counts[bound])) for bound in sorted(counts))


class AdminReader:
    """Reads one admin listener.

    Args:
        base_url: such as ``http://127.0.0.1:9464``.
        http: the reader to use; the caller closes it.
        critical_components: components that must be up; empty means those marked critical.
    """

    def __init__(self, base_url: str, http: HttpReader, *, critical_components: Iterable[str] = ()) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = http
        self._critical = frozenset(critical_components)

    async def page(self, path: str) -> HttpAnswer:
        """Any page, whatever its status.

        Raises:
            HttpError: no usable answer.
        """
        return await self._http.get(self.base_url + path)

    async def health(self) -> Mapping[str, Any]:
        """The body of /health.

        Raises:
            HttpError: admin.bad-answer or no usable answer.
        """
        return await self._object("/health")

    async def config(self) -> Mapping[str, Any]:
        """The body of /config: hash, environment, values with their sources."""
        return await self._object("/config")

    async def listeners(self) -> list[Mapping[str, Any]]:
        """The body of /listeners."""
        answer = await self.page("/listeners")
        found = answer.json()
        if answer.status != 200 or not isinstance(found, list) or not all(isinstance(x, dict) for x in found):
            raise _bad(answer, "a list of objects")
        return found

    async def metrics(self) -> Metrics:
        """The parsed metrics page.

        Raises:
            MetricsError, HttpError.
        """
        answer = await self.page("/metrics")
        if answer.status != 200:
            raise _bad(answer, "200")
        return Metrics.parse(answer.body.decode("utf-8", errors="strict"))

    async def is_ready(self) -> bool:
        """True only if /ready is 200 and every critical component is up."""
        answer = await self.page("/ready")
        found = answer.json()
        components = found.get("components") if isinstance(found, dict) else None
        if not isinstance(components, list):
            raise _bad(answer, "an object with components")
        states = {str(c.get("name")): c.get("status") for c in components if isinstance(c, dict)}
        needed = self._critical or {
            str(c.get("name")) for c in components if isinstance(c, dict) and c.get("critical") is True
        }
        return answer.status == 200 and bool(needed) and all(states.get(name) == "up" for name in needed)

    async def sample(self, clock_reading: datetime, generation: str | None = None) -> Sample:
        """Counters of ``generation``, or of the active one.

        Raises:
            MetricsError: metrics.no-active-generation or metrics.missing.
        """
        metrics = await self.metrics()
        chosen = generation or metrics.active_generation()
        if chosen is None:
            raise MetricsError("metrics.no-active-generation", "no single generation is marked active")
        return metrics.sample(chosen, at=clock_reading, healthy=await self.is_ready())

    async def _object(self, path: str) -> Mapping[str, Any]:
        answer = await self.page(path)
        found = answer.json()
        if answer.status != 200 or not isinstance(found, dict):
            raise _bad(answer, "200 with an object")
        return found


def _bad(answer: HttpAnswer, expected: str) -> HttpError:
    return HttpError(
        "admin.bad-answer", f"{answer.method} {answer.url}: answered {answer.status}; expected {expected}"
    )


def _all(families: Mapping[str, list[Series]]) -> Iterable[Series]:
    return (series for group in families.values() for series in group)
