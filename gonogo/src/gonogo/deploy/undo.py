"""Going back: rollback when traffic had moved, abort when it had not. Both look first and can be repeated.

Rollback activates the previous generation, which stayed warm, and sees it serve before anything is said.
Only then come the announcement and the end of the bad generation.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from gonogo.deploy.ledger import Ending
from gonogo.deploy.looking import generation_named, observed_serving, until
from gonogo.deploy.platform import Generation
from gonogo.deploy.run import Facts, Run
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError

OBSERVE_TIMEOUT_S = 30.0


async def undo(run: Run, *, reason: str, trigger: str, verdict_at: datetime) -> Facts:
    """Make the previous generation serve and end the new one, whatever state both are in.

    Returns facts with ``outcome``: rolled-back, aborted, or failed if the previous one could not be
    brought back; never raises a GonogoError.
    """
    run.refresh()
    try:
        if run.record.rollback is None and not await _traffic_moved(run):
            return await _abort(run, reason)
        return await _roll_back(run, reason, trigger, verdict_at)
    except GonogoError as error:
        run.announce("rollback-failed", f"{reason}; {error}")
        return {"outcome": Ending.FAILED.value, "reason": f"{reason}; the way back failed: {error}"}


async def _roll_back(run: Run, reason: str, trigger: str, verdict_at: datetime) -> Facts:
    services, previous = run.services, run.record.previous
    if run.record.rollback is None:
        body = {"reason": reason, "trigger": trigger, "verdict_at": verdict_at.isoformat(), "to": previous}
        _record_if_possible(run, EntryKind.ROLLBACK_STARTED, body)
    else:
        verdict_at = datetime.fromisoformat(run.record.rollback["verdict_at"])
        reason = run.record.rollback["reason"]
    if run.record.rolled_back is None:
        run.lease.check()
        await _bring_back(run, previous)
        server = run.record.finished["snapshot"]["server"]
        serving, _ = await observed_serving(services, previous, server, timeout_s=OBSERVE_TIMEOUT_S)
        elapsed_s = round((services.clock() - verdict_at).total_seconds(), 3)
        finished: Facts = {
            "elapsed_s": elapsed_s,
            "observed": {**asdict(serving), "server": server},
            "from": run.record.generation,
            "to": previous,
        }
        run.append(EntryKind.ROLLBACK_FINISHED, finished)
        run.note(
            "rollback",
            f"{run.record.version} → {serving.version} {elapsed_s:.2f} s after the verdict",
            finished,
        )
        run.refresh()
    run.announce("rolled-back", reason)
    await _end(run, drain_s=services.environment.drain_timeout_s)
    assert run.record.rolled_back is not None
    took_s = run.record.rolled_back["elapsed_s"]
    return {"outcome": Ending.ROLLED_BACK.value, "reason": reason, "rollback_s": took_s}


async def _abort(run: Run, reason: str) -> Facts:
    await _end(run, drain_s=0.0)
    run.announce("aborted", reason)
    return {"outcome": Ending.ABORTED.value, "reason": reason}


async def _traffic_moved(run: Run) -> bool:
    """True unless something other than the new generation is seen to serve."""
    if not run.record.previous:
        return False
    try:
        return (await run.services.platform.serving()).generation == run.record.generation
    except GonogoError:
        return "switch" in run.record.attempts


async def _bring_back(run: Run, previous: str) -> None:
    """Activate unless it serves already; an answer that got lost does not matter if it happened."""
    try:
        if (await run.services.platform.serving()).generation == previous:
            return
    except GonogoError as error:  # a service that cannot be read may still be told
        run.note("rollback", f"who serves cannot be read ({error}); activating {previous}")
    try:
        await run.services.platform.activate(previous)
    except GonogoError:
        if (await run.services.platform.serving()).generation != previous:
            raise


async def _end(run: Run, *, drain_s: float) -> None:
    """End the new generation, after it has finished what it had. Failing here harms nobody: it is noted."""
    services, generation = run.services, run.record.generation

    async def finished() -> Generation | None:
        found = await generation_named(services, generation)
        if found is None:
            return _GONE
        # A kept connection is let go with its next answer; closing it earlier could cut a request on its way.
        quiet = found.state in {"gone", "retiring", "failed"} or found.in_flight == found.connections == 0
        return found if quiet else None

    try:
        found = await until(services, finished, timeout_s=drain_s) or await generation_named(
            services, generation
        )
        if found is None or found is _GONE or found.state in {"gone", "retiring"}:
            return
        run.lease.check()
        await services.platform.retire(generation)
    except GonogoError as error:
        run.note("rollback", f"{generation} was not ended: {error}")


def _record_if_possible(run: Run, kind: EntryKind, body: Facts) -> None:
    """A journal that cannot be written must not keep the previous version from coming back."""
    try:
        run.append(kind, body)
    except GonogoError as error:
        run.note("rollback", f"not recorded: {error}")


_GONE = Generation("", "", "gone", (), "", "", 0, 0, 0, 0)
