"""``check``: run the checks of a release, record what they found, judge the gate.

With ``only``, the other answers come from the record; a narrow run never hides the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from gonogo.acts.desk import Desk
from gonogo.acts.judging import current_board
from gonogo.acts.production import admin_of, serving_version
from gonogo.adapters.erlmcp_metrics import ErlmcpMetrics
from gonogo.adapters.http import HttpReader
from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checks.baseline.error_rate import MIN_REQUESTS
from gonogo.checks.context import BaselineFacts, open_context
from gonogo.checks.registry import load_checks
from gonogo.checks.runner import Progress, run_checks
from gonogo.config.schema import Manifest
from gonogo.model.release import Release
from gonogo.report.board import Board
from gonogo.watch.baseline import Baseline, collect_baseline, latest_baseline, record_baseline

LOOKS_OF_A_SHORT_BASELINE = 10
BASELINE_VALID = timedelta(hours=1)


def check(
    desk: Desk,
    release: Release,
    manifest: Manifest,
    *,
    only: Sequence[str] = (),
    progress: Progress | None = None,
) -> Board:
    """Check and judge.

    Args:
        only: patterns of requirement ids to measure; empty means all.
        progress: told each finding as it stands in the record.

    Raises:
        GonogoError: checklist.unknown-pattern, or those of the journal.
    """
    chosen = frozenset(row.id for row in CATALOGUE.select(only)) if only else None
    began_at = desk.clock()
    asyncio.run(_measure(desk, release, manifest, chosen, progress))
    elapsed_s = (desk.clock() - began_at).total_seconds()
    return current_board(desk, release, elapsed_s=elapsed_s)


async def _measure(
    desk: Desk,
    release: Release,
    manifest: Manifest,
    only: Collection[str] | None,
    progress: Progress | None,
) -> None:
    async with open_context(
        repo=desk.loaded.repo,
        settings=desk.settings,
        environment_name=desk.environment_name,
        release=release,
        manifest=manifest,
        previous_manifest=await serving_manifest(desk),
        clock=desk.clock,
        baseline=(lambda: _baseline(desk, release)) if desk.environment.admin_url else None,
    ) as context:
        await run_checks(
            load_checks(),
            context,
            journal=desk.journal,
            evidence=desk.evidence,
            requirements=CATALOGUE.all,
            only=only,
            progress=progress,
        )


async def serving_manifest(desk: Desk) -> Manifest | None:
    """The manifest of the version that serves now, if both are known."""
    version = await serving_version(desk)
    return desk.manifest_of(version) if version else None


async def _baseline(desk: Desk, release: Release) -> BaselineFacts:
    """The recorded baseline of what serves now while it is fresh; otherwise a short one is collected."""
    limits = desk.environment.thresholds
    span_s = min(limits.baseline_s, limits.baseline_sample_s)
    http = HttpReader()
    admin = admin_of(desk, http)
    try:
        generation = str((await admin.health()).get("generation"))
        recorded = latest_baseline(desk.journal, release.id)
        if recorded is not None and _still_tells(recorded, generation, desk.clock()):
            return recorded
        collected = await collect_baseline(
            ErlmcpMetrics(admin, desk.clock),
            span_s,
            min(limits.step_s, span_s / LOOKS_OF_A_SHORT_BASELINE),
            desk.clock,
            generation=generation,
            sleep=asyncio.sleep,
            min_requests=MIN_REQUESTS,
        )
    finally:
        await http.close()
    record_baseline(desk.journal, collected, release=release.id)
    return collected


def _still_tells(recorded: Baseline, generation: str, now: datetime) -> bool:
    return (
        recorded.generation == generation
        and recorded.series.requests >= MIN_REQUESTS
        and now - recorded.ended_at < BASELINE_VALID
    )
