"""Everything that the server tells of itself at one moment. ``/metrics`` and the dashboard both show one of
these.

So there is one count, whoever looks. How it is written is ``exposition`` and ``capacity``; what was read
before is ``history``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from erlmcp.telemetry.capacity import Capacity, capacity_page
from erlmcp.telemetry.exposition import BusMetrics, CertificateMetrics, GenerationMetrics, exposition
from erlmcp.telemetry.totals import Counts


@dataclass(frozen=True)
class Reading:
    """One look.

    Attributes:
        at: when, seconds since 1970.
    """

    at: float
    erlmcp_version: str
    generations: Sequence[GenerationMetrics]
    capacity: Capacity
    certificate: CertificateMetrics | None = None
    bus: BusMetrics | None = None
    log_lines_lost: int = 0

    def page(self) -> bytes:
        """The Prometheus page."""
        counts = exposition(
            self.generations, self.erlmcp_version, self.certificate, self.bus, self.log_lines_lost
        )
        return counts + capacity_page(self.capacity)

    @cached_property
    def counts(self) -> Counts:
        """The sum over all generations."""
        total = Counts()
        for generation in self.generations:
            total.add(generation.counts)
        return total
