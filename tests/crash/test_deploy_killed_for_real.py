"""The real command line, killed in every step of a deployment to a real server under real traffic.

A server takes its deployments in a row, each to the version that does not serve. Each is killed, refused
without ``--resume``, killed again where there is more than one delicate moment, and finished by
``--resume``. What happened is counted from what the journal, the announcements' file and the server wrote.
A client that never retries calls all the time.
"""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from demo.tally import Failure
from deploy_account import STEPS, Account, account_of, not_once
from deploy_stand import Done, Stand, standing

from gonogo import bootstrap

LOOKS = "looks"
ROLLBACK = "rollback"
KILLS = {
    "announce": ("before announcement.sent started",),
    "stage": ("while it starts", "before step.finished stage"),
    "switch": ("before step.finished switch",),
    "watch": ("after watch.judged", "before step.finished watch"),
    "done": ("before step.finished done", "before announcement.sent done"),
    LOOKS: (
        "before step.finished snapshot",
        "after step.started verify",
        "before step.finished smoke",
        "after step.started drain",
    ),
    ROLLBACK: (
        "after rollback.started",
        "before rollback.finished",
        "before announcement.sent rolled-back",
        "before deployment.finished",
    ),
}
"""``before`` an entry is where something was done and nobody has written it down. The steps that only look
share a deployment, which is killed in one after the other."""

ROWS = (("announce", "stage", "switch", "done"), (LOOKS, "watch", ROLLBACK))
"""Two servers side by side, since each process spends most of its time starting."""

GOOD = {
    "steps": STEPS,
    "turns": ("deployment.finished",),
    "said": ("started", "done"),
}
GONE_BACK = {
    "steps": STEPS[: STEPS.index("done")],
    "turns": ("rollback.started", "rollback.finished", "deployment.finished"),
    "said": ("started", "rolled-back"),
}


@dataclass(frozen=True)
class Story:
    """One deployment that was killed, as it was seen from outside.

    Attributes:
        killed: for each kill the step in which it came, and how the command ended.
        refused: for each step, the same command again, without --resume; how many rows that added.
        served_before, served_after: what the server says.
        answered_by: who answered calls that were sent after the end.
        failures: calls that were not answered well, from the beginning until then.
        failed_afterwards: how many of them after the end.
    """

    version: str
    generation: str
    killed: list[tuple[str, Done]]
    refused: list[Done]
    rows_by_refused: int
    resumed: Done
    account: Account
    new_generations: set[str]
    served_before: str
    served_after: str
    answered_by: set[str]
    failures: list[Failure]
    failed_afterwards: int
    faults_of_record: int


def tell(stand: Stand, name: str) -> Story:
    """Deploy, be killed, be refused, be killed again, resume; and look."""
    before = stand.served_version()
    version = "1.2.0" if name == ROLLBACK else {"1.0.0": "1.1.0", "1.1.0": "1.0.0"}[before]
    known, log_began, failed = set(stand.generations()), stand.log_size(), len(stand.tally.failures)
    killed: list[tuple[str, Done]] = []
    refused, rows_by_refused = [], 0
    for moment in KILLS[name]:
        again = ("--resume", "--foreground") if killed else ()
        step, ending = _killed(stand, moment, known, "deploy", version, *again)
        if not killed or step not in {"", *(before for before, _ in killed)}:
            rows_by_refused -= len(stand.rows())
            refused.append(stand.run("deploy", version, "--foreground"))
            rows_by_refused += len(stand.rows())
        killed.append((step, ending))
    begun = stand.last_started()
    resumed = stand.run("deploy", version, "--resume", "--json")
    failed_by_then = len(stand.tally.failures)
    return Story(
        version=version,
        generation=begun["generation"],
        killed=killed,
        refused=refused,
        rows_by_refused=rows_by_refused,
        resumed=resumed,
        account=account_of(begun["deployment"], stand.rows(), stand.announced(), stand.log(log_began)),
        new_generations=set(stand.generations()) - known,
        served_before=before,
        served_after=stand.served_version(),
        answered_by=stand.answers_of_the_next_calls(20),
        failures=stand.tally.failures[failed:],
        failed_afterwards=len(stand.tally.failures) - failed_by_then,
        faults_of_record=len(bootstrap.verify_record(stand.workspace.service).faults),
    )


def _killed(stand: Stand, moment: str, known: set[str], *arguments: str) -> tuple[str, Done]:
    if moment != "while it starts":
        return stand.kill_at(moment, *arguments)
    # Seen from outside; should that look come late, the process waits at the end of the step.
    end = "before step.finished stage"
    return stand.kill_at(end, *arguments, or_when=lambda: set(stand.generations()) - known)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Every story by its name, and how ``gonogo verify`` found the record of each server at the end."""

    def in_a_row(names: tuple[str, ...]) -> tuple[dict[str, Story], Done]:
        versions = ("1.0.0", "1.1.0", "1.2.0") if ROLLBACK in names else ("1.0.0", "1.1.0")
        with standing(tmp_path_factory.mktemp("k"), versions) as stand:
            stories = {}
            for name in names:
                (stand.busy.set if name == ROLLBACK else stand.busy.clear)()
                stories[name] = tell(stand, name)
            return stories, stand.run("verify")

    with ThreadPoolExecutor(len(ROWS)) as pool:
        rows = list(pool.map(in_a_row, ROWS))
    return {name: story for stories, _ in rows for name, story in stories.items()}, [end for _, end in rows]


def slow(test):
    """Slow because about fifty real programs run in two rows, each a second or two only to start."""
    return pytest.mark.slow(pytest.mark.timeout(900)(test))


@slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_step_it_is_refused_and_then_finished_once_by_resume(step, told):
    story = told[0][step if step in KILLS else LOOKS]
    assert_killed_and_refused(story)
    assert step in [where for where, _ in story.killed]
    assert story.resumed.code == 0, story.resumed
    assert json.loads(story.resumed.out)["ending"] == "done"
    assert_done_once(story, GOOD, activated=[story.generation])
    assert story.served_after == story.version
    assert story.answered_by == {story.version}
    assert story.failures == []


@slow
def test_killed_in_every_moment_of_a_rollback_it_is_finished_once_by_resume(told):
    story = told[0][ROLLBACK]
    assert_killed_and_refused(story)
    assert story.resumed.code == 1, story.resumed
    result = json.loads(story.resumed.out)
    assert result["ending"] == "rolled-back"
    assert_done_once(story, GONE_BACK, activated=[story.generation, result["serving"]])
    assert story.served_after == story.served_before
    assert story.answered_by == {story.served_before}
    assert story.failures, "1.2.0 breaks, and the client sees it"
    assert story.failed_afterwards == 0
    assert {(failure.kind, failure.answered_by) for failure in story.failures} == {("rpc-error", "1.2.0")}


@slow
def test_what_killed_processes_wrote_verifies_from_the_command_line(told):
    assert [(end.code, end.err) for end in told[1]] == [(0, "")] * len(ROWS)


def assert_killed_and_refused(story: Story) -> None:
    (_, followed), *others = story.killed
    assert (followed.code, "error[deploy.interrupted]" in followed.err) == (1, True), followed
    assert [ending.code for _, ending in others] == [-signal.SIGKILL] * len(others)
    assert len(story.refused) == max(len({where for where, _ in story.killed} - {""}), 1)
    for refused in story.refused:
        assert (refused.code, "error[deploy.unfinished]" in refused.err) == (1, True), refused
    assert story.rows_by_refused == 0


def assert_done_once(story: Story, wanted: dict, *, activated: list[str]) -> None:
    faults = not_once(story.account, generation=story.generation, activated=activated, **wanted)
    assert faults == []
    assert story.new_generations == {story.generation}
    assert story.faults_of_record == 0


LEFT = {
    "rows": [
        ("deployment.started", {"deployment": "dep-1", "generation": "new"}),
        *(("step.finished", {"deployment": "dep-0", "step": step}) for step in STEPS),
        *(("step.finished", {"deployment": "dep-1", "step": step}) for step in STEPS),
        ("announcement.sent", {"id": "dep-0/done"}),
        ("announcement.sent", {"id": "dep-1/started"}),
        ("announcement.sent", {"id": "dep-1/done"}),
        ("deployment.finished", {"deployment": "dep-1"}),
    ],
    "announced": ["", '{"id": "dep-0/done"}', "", '{"id": "dep-1/started"}', "", '{"id": "dep-1/done"}'],
    "log": [
        '{"event": "generation.staging", "generation_id": "new"}',
        '{"event": "generation.activated", "active": "new"}',
        '{"event": "guest.output"}',
    ],
}
COUNTED = [
    (where, number)
    for where, lines in LEFT.items()
    for number, line in enumerate(lines)
    if line and "dep-0" not in str(line) and "deployment.started" not in line and "guest" not in str(line)
]


def faults_in(left: dict) -> list[str]:
    return not_once(account_of("dep-1", **left), generation="new", activated=["new"], **GOOD)


def test_a_deployment_that_did_everything_once_has_nothing_to_be_said_about():
    assert faults_in(LEFT) == []


@pytest.mark.parametrize(("where", "number"), COUNTED)
def test_whatever_happened_twice_or_never_would_be_seen(where, number):
    """The negative control of the counting: each line that counts, once more and once less."""
    lines = LEFT[where]
    assert len(faults_in({**LEFT, where: [*lines, lines[number]]})) == 1
    assert len(faults_in({**LEFT, where: lines[:number] + lines[number + 1 :]})) == 1


def test_a_second_generation_under_another_name_would_be_seen():
    second = '{"event": "generation.staging", "generation_id": "newer"}'
    assert faults_in({**LEFT, "log": [*LEFT["log"], second]}) == ["created newer: 1 times"]


def test_an_announcement_that_belongs_to_no_good_end_would_be_seen():
    shouted = [*LEFT["announced"], '{"id": "dep-1/rollback-failed"}']
    assert faults_in({**LEFT, "announced": shouted}) == ["delivered rollback-failed: 1 times"]
