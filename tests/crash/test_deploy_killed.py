"""A deployment killed by SIGKILL in any step is finished by a resume, each effect once in the world.

Every case runs real processes on the real journal and the real durable store; the world they deploy to is
a state machine in a file that logs each act, so an act that happened twice is seen.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import deploy_driver
from model_world import FakeClock

from gonogo.journal.journal import Journal
from gonogo.model.entry import EntryKind

STEPS = ("announce", "snapshot", "stage", "verify", "smoke", "switch", "drain", "watch", "done")
LIMIT_S = 120
SIDE_BY_SIDE = 6
PRELOADED = ["gonogo.deploy.deployment", "gonogo.deploy.durable", "gonogo.journal.journal"]

pytestmark = pytest.mark.timeout(400)  # over forty processes, told once


UNDISTURBED = {"calm": ("1.1.0", [{}])}
KILLED_IN_STEPS = {
    step: (
        "1.1.0",
        [
            {"moment": "after", "kind": "step.started", "step": step},  # before the act
            {"moment": "before", "kind": "step.finished", "step": step},  # the act happened, unrecorded
            {"moment": "after", "kind": "step.finished", "step": step},  # recorded, not in the durable store
            {},
        ],
    )
    for step in STEPS
}
KILLED_IN_ROLLBACKS = {
    f"{moment} {kind}": ("1.2.0", [{"moment": moment, "kind": kind}, {}])
    for moment, kind in (
        ("before", "watch.sampled"),
        ("after", "watch.judged"),
        ("before", "rollback.started"),
        ("after", "rollback.started"),
        ("before", "rollback.finished"),
        ("after", "rollback.finished"),
        ("before", "deployment.finished"),
        ("after", "deployment.finished"),
    )
}


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """Every story told to its end: folder and exit codes of its processes, negative for a signal.

    The stories run side by side: each spends its time waiting for the durable store to notice what was
    interrupted, about a second for every resume.
    """
    context = multiprocessing.get_context("forkserver")  # forked from one process that imported everything
    context.set_forkserver_preload(PRELOADED)

    def tell(story: tuple[str, list[dict[str, str]]]) -> tuple[Path, list[int]]:
        version, attempts = story
        folder = tmp_path_factory.mktemp("story")
        codes = []
        for count, options in enumerate(attempts):
            process = context.Process(
                target=deploy_driver.run, args=(folder, version), kwargs={"resume": count > 0, **options}
            )
            process.start()
            process.join(LIMIT_S)
            if process.exitcode is None:
                process.kill()
            codes.append(process.exitcode)
        return folder, codes

    told = UNDISTURBED | KILLED_IN_STEPS | KILLED_IN_ROLLBACKS
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return dict(zip(told, pool.map(tell, told.values()), strict=True))


def acts_of(folder: Path) -> list[str]:
    return json.loads((folder / "world.json").read_text())["acts"]


def assert_done_exactly_once(folder: Path, acts: list[str]) -> None:
    assert acts_of(folder) == acts
    lines = [json.loads(line) for line in (folder / "announcements.jsonl").read_text().split("\n") if line]
    said = Counter(line["id"] for line in lines)
    assert set(said.values()) == {1}, said
    with Journal.open(folder / "state", clock=FakeClock(), service="notes") as journal:
        assert journal.verify() == []
        entries = list(journal.entries())
    finished = Counter(e.body["step"] for e in entries if e.kind is EntryKind.STEP_FINISHED)
    assert set(finished.values()) == {1}, finished
    assert sum(e.kind is EntryKind.DEPLOYMENT_FINISHED for e in entries) == 1


@pytest.mark.parametrize("step", KILLED_IN_STEPS)
def test_killed_before_during_and_after_a_step_it_is_finished_once(step, stories):
    folder, codes = stories[step]
    assert codes == [-signal.SIGKILL] * 3 + [0]
    ending, deployment, reason = json.loads((folder / "result.json").read_text())
    assert ending == "done", reason
    generation = deployment.removeprefix("dep-notes-")
    assert_done_exactly_once(folder, [f"stage {generation}", f"activate {generation}"])


@pytest.mark.parametrize("story", KILLED_IN_ROLLBACKS)
def test_a_rollback_that_was_killed_is_finished_once(story, stories):
    folder, codes = stories[story]
    nothing_left = story == "after deployment.finished"
    assert codes == [-signal.SIGKILL, 1 if nothing_left else 0]
    if not nothing_left:
        assert json.loads((folder / "result.json").read_text())[0] == "rolled-back"
    generation = acts_of(folder)[0].removeprefix("stage ")
    back = [f"stage {generation}", f"activate {generation}", "activate g1", f"retire {generation}"]
    assert_done_exactly_once(folder, back)


def test_without_a_kill_the_same_world_shows_the_same_acts(stories):
    """The control: what the killed runs are compared with is what an undisturbed one does."""
    folder, codes = stories["calm"]
    assert codes == [0]
    _, deployment, _ = json.loads((folder / "result.json").read_text())
    generation = deployment.removeprefix("dep-notes-")
    assert_done_exactly_once(folder, [f"stage {generation}", f"activate {generation}"])


def test_an_act_that_happens_twice_would_be_seen(stories, tmp_path):
    """The negative control of the assertion itself."""
    folder, _ = stories["calm"]
    copy = shutil.copytree(folder, tmp_path / "copy")
    world = json.loads((copy / "world.json").read_text())
    (copy / "world.json").write_text(json.dumps(world | {"acts": [*world["acts"], world["acts"][-1]]}))
    with pytest.raises(AssertionError):
        assert_done_exactly_once(copy, world["acts"])
