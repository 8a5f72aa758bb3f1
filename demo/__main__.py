"""The story, told for real: 1.0.0 serves, 1.1.0 goes well, 1.2.0 goes badly and takes itself back.

Reads top-down. Every number that is printed was counted or observed while it was told.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from demo import findings, record
from demo.findings import BAD, GOOD, OLD, Observed, Span
from demo.program import Ran
from demo.record import Candidate
from demo.screen import Screen
from demo.service import ServiceError
from demo.stage import CALLS_PER_S, Stage, set_up, shown_path
from demo.workspace import ROOT, WorkspaceError, add_release, alone, commit_release

ATTESTED, SIGNED, DEFECT = "people.primary-identified", "approval.tech-lead", "config.log-level-info"
STATEMENT = "Jonas is primary on call today and reachable by phone."
BASE = ROOT / "build" / "demo"


async def story(stage: Stage) -> Observed:
    """Tell it from the first check to the last report."""
    first, named, ready = await make_ready(stage)
    good = await ship_good(stage)
    bad_ready, bad = await ship_bad(stage)
    verify, reports, verdict = await write_record(stage)
    return Observed(
        tally=stage.tally,
        tenures=stage.observer.tenures,
        first_check_exit=first.exit_code,
        first_check_blocking=named.blocking,
        expected_blocking=(ATTESTED, SIGNED, DEFECT),
        good_verdict=ready.verdict,
        good_exit=good.exit_code,
        good_span=Span(good.began_s, good.ended_s),
        steps_shown=record.steps_shown(good, findings.STEPS),
        bad_verdict=bad_ready.verdict,
        bad_exit=bad.exit_code,
        bad_span=Span(bad.began_s, bad.ended_s),
        verdict_s=None if verdict is None else stage.at_s(verdict),
        verify_exit=verify.exit_code,
        reports=reports,
        elapsed_s=stage.now_s() - stage.began_s,
    )


async def make_ready(stage: Stage) -> tuple[Ran, Candidate, Candidate]:
    """Check 1.1.0, see what is missing, mend it with the commands a person would use."""
    run, must, screen = stage.programs.show, stage.programs.must, stage.screen
    screen.chapter(2, f"Is {GOOD} ready? Three things are not, and the board says which")
    manifest = add_release(stage.workspace, GOOD, log_level="debug")
    await commit_release(stage.programs, GOOD)
    first = await run("gonogo", "check", GOOD)
    named = await record.candidate(stage.programs, GOOD)

    screen.chapter(3, "Mend what it names")
    await must("sed", "-i", "s/debug/info/", str(manifest))
    await must("git", "commit", "-q", "-a", "-m", f"Notes {GOOD} logs at info")
    await must("git", "tag", f"v{GOOD}")
    await run("gonogo", "check", GOOD)
    await approve(stage, GOOD)
    return first, named, await record.candidate(stage.programs, GOOD)


async def approve(stage: Stage, version: str) -> None:
    """What only people can say and sign."""
    must = stage.programs.must
    by_jonas, by_mara = ("--as", "jonas", "--key", "../keys/jonas"), ("--as", "mara", "--key", "../keys/mara")
    await must("gonogo", "attest", ATTESTED, "--version", version, "--statement", STATEMENT, *by_jonas)
    await must("gonogo", "sign", SIGNED, "--version", version, *by_mara)


async def ship_good(stage: Stage) -> Ran:
    """Deploy 1.1.0 under the client."""
    stage.screen.chapter(4, f"Ship {GOOD}")
    ran = await stage.programs.show("gonogo", "deploy", GOOD)
    await stage.until_calls(100)
    tell_counts(stage)
    return ran


async def ship_bad(stage: Stage) -> tuple[Candidate, Ran]:
    """Deploy 1.2.0, which passes every test before the switch and fails under traffic after it."""
    stage.screen.chapter(5, f"Ship {BAD}, which fails under load. Nobody will touch a key")
    add_release(stage.workspace, BAD, log_level="info")
    await commit_release(stage.programs, BAD)
    await stage.programs.must("git", "tag", f"v{BAD}")
    await stage.programs.show("gonogo", "check", BAD)
    await approve(stage, BAD)
    ready = await record.candidate(stage.programs, BAD)
    ran = await stage.programs.show("gonogo", "deploy", BAD)
    await stage.until_calls(200)
    tell_counts(stage)
    return ready, ran


async def write_record(stage: Stage) -> tuple[Ran, list[str], datetime | None]:
    """Reports of both releases, a bundle, and proof that the record is whole."""
    stage.screen.chapter(6, "The record")
    written = []
    for version in (GOOD, BAD):
        name = f"report-{version}.html"
        ran = await stage.programs.show("gonogo", "report", "--version", version, "-o", f"../{name}")
        if ran.exit_code == 0 and record.is_report(stage.workspace.base / name, version):
            written.append(version)
    bundle = stage.workspace.base / f"record-{BAD}.zip"
    await stage.programs.must("gonogo", "export", "--version", BAD, "-o", f"../{bundle.name}")
    await stage.programs.must("gonogo", "verify", f"../{bundle.name}")
    return await stage.programs.show("gonogo", "verify"), written, record.verdict_at(bundle)


def tell_counts(stage: Stage) -> None:
    """What the client has counted so far."""
    tally = stage.tally
    ours = [failure for failure in tally.failures if findings.is_answer_by(failure, BAD)]
    stage.screen.say(
        f"client: {tally.calls} calls, {len(tally.failures) - len(ours)} failed, "
        f"{len(ours)} failed answers by {BAD}; "
        f"{tally.changes_made} changes, {len(tally.changes_lost)} lost"
    )


def tell_ending(screen: Screen, seen: Observed) -> int:
    """The table of assertions, and 0 only if all of them hold."""
    screen.chapter(7, "Was all of that really observed?")
    assertions = findings.assess(seen)
    rows = [("✓" if a.holds else "✗", a.what, a.expected, a.observed) for a in assertions]
    screen.table([("", "what", "expected", "observed"), *rows])
    missed = [a.what for a in assertions if not a.holds]
    screen.say("")
    screen.say(f"record   {shown_path(BASE / 'service' / '.gonogo')}")
    for version in sorted(seen.reports):
        screen.say(f"report   {shown_path(BASE / f'report-{version}.html')}")
    screen.say(f"time     {findings.told_time(seen.elapsed_s)}")
    screen.say(f"not observed: {'; '.join(missed)}" if missed else f"all {len(rows)} observed")
    return 1 if missed else 0


async def run(screen: Screen) -> int:
    """Set the stage, tell the story, clear up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    screen.chapter(1, f"notes {OLD} serves, and a client calls it without pause")
    with alone(BASE):
        seen = await on_stage(screen)
    return tell_ending(screen, seen)


async def on_stage(screen: Screen) -> Observed:
    """The story with everything it needs running; everything is stopped when it ends, however it ends."""
    async with set_up(screen, BASE, Path(sys.executable).parent, OLD) as stage:
        await stage.until_calls(100)
        screen.say(f"client: {CALLS_PER_S:g} calls a second in both eras, one open subscription, no retries")
        screen.say(f"the commands below run in {shown_path(stage.workspace.service)}")
        return await story(stage)


def main() -> int:
    """Exit code 0 if everything was observed, 1 if not, 2 if it could not be tried, 130 if interrupted."""
    screen = Screen()
    if sys.platform != "linux":
        sys.stderr.write(f"error[demo.platform]: the demo needs Linux, got {sys.platform}\n")
        return 2
    try:
        return asyncio.run(run(screen))
    except (WorkspaceError, ServiceError, RuntimeError, json.JSONDecodeError) as fault:
        sys.stderr.write(f"error[demo.failed]: {fault}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        with suppress(OSError):
            sys.stderr.write("interrupted; everything that was started is stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
