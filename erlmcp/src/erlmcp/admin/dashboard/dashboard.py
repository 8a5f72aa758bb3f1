"""Looks at the server again and again, remembers the last minutes, and tells its viewers what has changed.

It asks one function for everything and changes nothing. What the page looks like is ``page``; its addresses
are ``routes``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from erlmcp.admin.dashboard import page
from erlmcp.admin.dashboard.html import Html
from erlmcp.admin.dashboard.view import Observation, View
from erlmcp.admin.dashboard.viewers import Viewers
from erlmcp.config.schema import DashboardSettings
from erlmcp.telemetry.alerts import Alerts
from erlmcp.telemetry.history import History
from erlmcp.telemetry.logs import Log

__all__ = ["Dashboard", "Observation", "Observe"]

log = Log(__name__)


class Observe(Protocol):
    """How the server is looked at."""

    def __call__(self, *, ask: bool) -> Awaitable[Observation]:
        """``ask`` asks the workers, else their last word counts."""
        ...


class Dashboard:
    """The page of one server."""

    def __init__(self, settings: DashboardSettings, observe: Observe) -> None:
        self._interval_s = settings.interval_s
        self._observe = observe
        self._history = History(settings.interval_s)
        self._alerts = Alerts()
        self._looking: asyncio.Task[None] | None = None
        self._newest: dict[str, Html] = {}
        self.viewers = Viewers(settings.max_viewers, settings.cut_after_s)

    @classmethod
    def configured(cls, settings: DashboardSettings, observe: Observe) -> Dashboard | None:
        """One, unless it is switched off."""
        return cls(settings, observe) if settings.enabled else None

    def start(self) -> None:
        """Look from now on."""
        self._looking = asyncio.create_task(self._look_for_ever())

    async def stop(self) -> None:
        """Look no more, and let the viewers go."""
        self.viewers.close()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def page(self) -> Html:
        """The whole page, with the numbers as of now."""
        return page.whole(self._view(await self._observe(ask=True)))

    async def regions(self) -> dict[str, Html]:
        """The parts of the page that change, as of the last look."""
        if not self._newest:
            self._newest = page.regions(self._view(await self._observe(ask=False)))
        return self._newest

    async def _look_for_ever(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("dashboard.failed")
            await asyncio.sleep(self._interval_s)

    async def _look(self) -> None:
        observed = await self._observe(ask=False)
        self._history.add(observed.reading)
        view = self._view(observed)
        self._newest = page.regions(view) if self.viewers else {}
        self.viewers.publish(self._newest)

    def _view(self, observed: Observation) -> View:
        alerts = self._alerts.judge(observed.reading, self._history)
        return View(observed, self._history, alerts, self._interval_s)
