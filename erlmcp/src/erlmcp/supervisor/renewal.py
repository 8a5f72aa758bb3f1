"""Certificates that are renewed while the server runs: the files are looked at, judged, and handed on whole.

The master reads them, once for all workers, so that all prove themselves with the same and none with half of
a change; what does not hold is logged and what was in force stays. Reading and judging is
``erlmcp.edge.certificates``; telling the workers is ``erlmcp.supervisor.upgrades``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from erlmcp.config.errors import ErlmcpError
from erlmcp.config.schema import TlsSettings
from erlmcp.edge.tls import Identity
from erlmcp.telemetry.exposition import CertificateMetrics
from erlmcp.telemetry.logs import Log

if TYPE_CHECKING:
    from erlmcp.edge.certificates import Certified

SOON: Final = timedelta(days=14)
"""A certificate that is taken over and expires sooner is warned of."""

log = Log(__name__)

_Seen = tuple[tuple[int, int, int] | None, ...]


class Renewal:
    """The certificate of one server, over its renewals.

    Args:
        settings: which files.
        clock: the time, UTC.

    Raises:
        ErlmcpError: as ``erlmcp.edge.certificates.read``.
    """

    def __init__(self, settings: TlsSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._seen = self._look()
        self._certified = self._read()
        self._renewed = 0
        self._refused = 0
        if self._certified is not None:
            _tell("tls.loaded", self._certified, clock())

    @property
    def identity(self) -> Identity | None:
        """What is in force; None when TLS is off."""
        return self._certified.identity if self._certified else None

    def metrics(self) -> CertificateMetrics | None:
        """What is shown of it; None when TLS is off."""
        if self._certified is None:
            return None
        return CertificateMetrics(self._certified.expires_at.timestamp(), self._renewed, self._refused)

    def look(self) -> Identity | None:
        """Read the files again if they have changed: a new identity, if they hold one that works."""
        seen = self._look()
        if seen == self._seen or self._certified is None:
            return None
        self._seen = seen  # as it was before reading: what changes meanwhile is read the next time
        try:
            certified = self._read()
        except ErlmcpError as fault:
            self._refuse(fault)
            return None
        if certified is None or certified.identity == self._certified.identity:
            return None
        self._certified = certified
        self._renewed += 1
        _tell("tls.renewed", certified, self._clock())
        return certified.identity

    async def run(self, hand_on: Callable[[Identity], Awaitable[None]]) -> None:
        """Look for ever; every new identity is handed on. A fault of ours must not be the end of renewals."""
        while self._certified is not None:
            await asyncio.sleep(self._settings.reload_interval_s)
            try:
                identity = self.look()
                if identity is not None:
                    await hand_on(identity)
            except Exception:
                log.exception("tls.renewal-failed")

    def _read(self) -> Certified | None:
        """Judge the files. Loaded only for those who name any: it costs a tenth of the start."""
        if self._settings == TlsSettings():
            return None
        from erlmcp.edge.certificates import read

        return read(self._settings, self._clock())

    def _refuse(self, fault: ErlmcpError) -> None:
        self._refused += 1
        log.error("tls.not-renewed", error_id=fault.error_id, message=fault.message, hint=fault.hint)

    def _look(self) -> _Seen:
        files = (self._settings.certificate, self._settings.key, self._settings.client_ca)
        return tuple(_stamp(file) for file in files if file)


def _stamp(file: str) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced; links are followed."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _tell(event: str, certified: Certified, now: datetime) -> None:
    says = log.warning if certified.expires_at - now < SOON else log.info
    says(event, subject=certified.subject, expires_at=certified.expires_at.isoformat())
