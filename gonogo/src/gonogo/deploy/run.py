"""One deployment while it runs: what its steps share, and how a step is performed and recorded.

A step that the journal knows as finished is not performed again. Whatever a step raises becomes an entry
and a fact with an ``error``; what follows from it is decided in ``deploy.deployment``.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gonogo.adapters.lease import Lease
from gonogo.config.schema import Manifest
from gonogo.deploy import announcing
from gonogo.deploy.ledger import DeploymentRecord, record_of
from gonogo.deploy.progress import Progress, ProgressEvent, StepState
from gonogo.deploy.services import DeployServices
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError

Facts = dict[str, Any]

HOLD_AT = 2.0
"""A step that takes this many times its budget is stopped."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table.

    Attributes:
        budget_s: seconds it should take; a warning beyond it, an error at twice that.
        bounded: False for the watch, whose own rules end it.
    """

    name: str
    budget_s: float
    act: Callable[[Run], Awaitable[Facts]]
    bounded: bool = True


class Run:
    """A deployment in progress."""

    def __init__(
        self,
        services: DeployServices,
        record: DeploymentRecord,
        manifest: Manifest,
        lease: Lease,
        progress: Progress,
    ) -> None:
        self.services = services
        self.record = record
        self.manifest = manifest
        self.lease = lease
        self.progress = progress
        self.plan_s = 0.0

    async def perform(self, step: Step) -> Facts:
        """Do ``step`` unless it was done, and record how it went."""
        self.refresh()
        if step.name in self.record.finished:
            return dict(self.record.finished[step.name])
        began = self.services.clock()
        attempt = self.record.attempts.get(step.name, 0) + 1
        self.append(EntryKind.STEP_STARTED, {"step": step.name, "attempt": attempt})
        self._tell(step.name, StepState.STARTED, "again, after an interruption" if attempt > 1 else "", began)
        try:
            self.lease.check()
            async with asyncio.timeout(HOLD_AT * step.budget_s if step.bounded else None):
                observed = await step.act(self)
        except Exception as error:  # noqa: BLE001 - whatever broke, the deployment must be undone in order
            return self._failed(step, error, began)
        elapsed_s = self._elapsed_s(began)
        over = step.bounded and elapsed_s > step.budget_s
        self.append(
            EntryKind.STEP_FINISHED,
            {"step": step.name, "elapsed_s": elapsed_s, "observed": observed, "over_budget": over},
        )
        text = str(observed.get("text", ""))
        if over:
            text += f" (took {elapsed_s:.1f} s, budget {step.budget_s:g} s)"
        self._tell(step.name, StepState.FINISHED, text, began, observed)
        return observed

    def note(self, step: str, text: str, data: Mapping[str, Any] | None = None) -> None:
        """Show something that is not the beginning or the end of a step."""
        self.progress(ProgressEvent(step, StepState.NOTE, text, 0.0, data or {}))

    def append(self, kind: EntryKind, body: Mapping[str, Any]) -> None:
        """An entry of this deployment."""
        self.services.journal.append(
            kind, {"deployment": self.record.id, **body}, actor="gonogo", release=self.record.release
        )

    def announce(self, what: str, reason: str = "") -> None:
        """Say ``what`` once. A channel that fails is shown and never stops a deployment."""
        try:
            announcing.announce(
                self.services,
                what,
                deployment=self.record.id,
                release=self.record.release,
                version=self.record.version,
                reason=reason,
                duration_s=self.plan_s,
            )
        except (GonogoError, OSError) as error:
            self.note("announce", f"{what} was not announced: {error}")

    def refresh(self) -> None:
        """Read again what the journal knows of this deployment."""
        self.record = record_of(self.services.journal, self.record.environment, self.record.id)

    def _failed(self, step: Step, error: Exception, began: datetime) -> Facts:
        fault = _fault(step, error)
        self.append(EntryKind.STEP_FAILED, {"step": step.name, "error": fault})
        text = f"error[{fault['id']}]: {fault['message']}"
        self._tell(step.name, StepState.FAILED, text, began, fault)
        return {"error": fault}

    def _tell(
        self,
        step: str,
        state: StepState,
        text: str,
        began: datetime,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.progress(ProgressEvent(step, state, text, self._elapsed_s(began), data or {}))

    def _elapsed_s(self, began: datetime) -> float:
        return round((self.services.clock() - began).total_seconds(), 3)


def _fault(step: Step, error: Exception) -> Facts:
    if isinstance(error, GonogoError):
        return {"id": error.error_id, "message": error.message, "hint": error.hint, "note": error.note}
    if isinstance(error, TimeoutError):
        message = f"step {step.name} was stopped at twice its budget of {step.budget_s:g} s"
        return {"id": "deploy.step-overrun", "message": message, "hint": None, "note": None}
    return {
        "id": "internal.unexpected",
        "message": f"step {step.name} broke: {type(error).__name__}: {error}",
        "hint": "report this with the note",
        "note": "".join(traceback.format_exception(error))[-4000:],
    }
