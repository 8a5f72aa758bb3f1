"""The page: what the record says stands on it, escaped, in one file that loads nothing."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.model.codec import to_json
from gonogo.model.entry import Entry, EntryKind
from gonogo.model.evidence import Evidence
from gonogo.model.finding import Answer, Finding
from gonogo.model.people import Waiver
from gonogo.model.release import Fingerprint, Release
from gonogo.model.verdict import GateResult, Verdict
from gonogo.model.watch import Judgement, Outcome, Sample
from gonogo.release.record import fold
from gonogo.report.board import board_of
from gonogo.report.page import Page, Said, render
from gonogo.report.timeline import DeploymentView, deployment_view
from gonogo.watch.baseline import Baseline
from gonogo.watch.reader import Observation
from gonogo.watch.series import Series

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
REL = "rel-notes-1.2.0"
DEP = "dep-notes-1.2.0-x"


def entries(*bodies) -> list[Entry]:
    return [
        Entry(seq, kind, AT + timedelta(seconds=after_s), "ada", REL, {"deployment": DEP, **body}, "p", "h")
        for seq, (kind, after_s, body) in enumerate(bodies, 1)
    ]


def sample(after_s: float, requests: int, errors: int) -> dict:
    at = AT + timedelta(seconds=after_s)
    buckets = ((0.01, requests // 2), (0.1, requests), (float("inf"), requests))
    seen = Sample(at, requests, errors, buckets, 0, 1, 1000, 1.0, healthy=True)
    return {"observation": to_json(Observation(at, seen))}


FAILED = Judgement("error-ratio", Outcome.FAIL, "half of them fail", 0.0, 0.5, 0.6, 0.01, 100, 100.0)
FINE = Judgement("memory", Outcome.PASS, "as before", 1.0, 1.0, 1.1, 1.25, 100, 100.0)
SNAPSHOT = {"version": "1.1.0", "generation": "g1", "text": "1.1.0 (g1) serves"}
STORY = entries(
    (EntryKind.DEPLOYMENT_STARTED, 0, {"version": "1.2.0", "environment": "production"}),
    (EntryKind.STEP_STARTED, 0, {"step": "snapshot", "attempt": 1}),
    (EntryKind.STEP_FINISHED, 1, {"step": "snapshot", "elapsed_s": 0.5, "observed": SNAPSHOT}),
    (EntryKind.STEP_STARTED, 1, {"step": "switch", "attempt": 2}),
    (
        EntryKind.STEP_FINISHED,
        2,
        {"step": "switch", "elapsed_s": 0.25, "observed": {"text": "1.1.0 → 1.2.0"}},
    ),
    (EntryKind.STEP_STARTED, 2, {"step": "watch", "attempt": 1}),
    (EntryKind.WATCH_SAMPLE, 3, sample(3, 0, 0)),
    (EntryKind.WATCH_SAMPLE, 4, sample(4, 50, 10)),
    (EntryKind.WATCH_SAMPLE, 5, sample(5, 100, 50)),
    (EntryKind.WATCH_JUDGED, 5, {"judgements": [to_json(FINE), to_json(FAILED)]}),
    (
        EntryKind.STEP_FINISHED,
        5,
        {"step": "watch", "elapsed_s": 3.0, "observed": {"text": "bad", "outcome": "fail"}},
    ),
    (
        EntryKind.ROLLBACK_STARTED,
        5,
        {
            "reason": "half of them fail",
            "trigger": "watch",
            "verdict_at": (AT + timedelta(seconds=5)).isoformat(),
            "to": "g1",
        },
    ),
    (
        EntryKind.ROLLBACK_FINISHED,
        5.2,
        {"elapsed_s": 0.2, "observed": {"version": "1.1.0", "generation": "g1"}},
    ),
    (EntryKind.DEPLOYMENT_FINISHED, 6, {"outcome": "rolled-back", "reason": "half of them fail"}),
)
BASELINE = Baseline(
    "g1", AT - timedelta(seconds=10), AT, 1.0, Series(requests=200, errors=2, latency={"p95": (0.02,) * 10})
)


def view(story=STORY, baseline=BASELINE) -> DeploymentView:
    record = fold(story, REL)
    return deployment_view(record.deployments[-1], story, baseline, record.announcements)


def page(**changes) -> Page:
    found = Finding(
        "fi-1",
        "build.unit-tests-pass",
        "here",
        Answer.FAIL,
        "3 of 9 <b>fail</b>",
        "run them",
        ("ev-aa",),
        "f" * 64,
        AT,
        AT,
    )
    others = [
        replace(found, check_id=row.id, answer=Answer.UNKNOWN, reason="never checked", evidence=())
        for row in CATALOGUE.all
        if row.id != found.check_id
    ]
    gate = GateResult(Verdict.NO_GO, "small", "f" * 64, (found,), (found,), (), (), tuple(others))
    release = Release(REL, "notes", "1.2.0", "production", Fingerprint("c" * 40, "a", "b", "p"))
    board = board_of(
        gate,
        CATALOGUE.all,
        release,
        built=frozenset({"build.unit-tests-pass", "build.compiles"}),
        profile_reason="one machine",
        configured=True,
        checked_at=AT,
    )
    facts = {
        "board": board,
        "deployments": (view(),),
        "statements": (),
        "waivers": (),
        "not_applicable": {},
        "evidence": (Evidence("ev-aa", "a" * 64, 10, "text/plain", "command pytest", AT),),
        "head": STORY[-1],
        "made_at": AT,
    } | changes
    return Page(**facts)


def text_of(html: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_both_stories_stand_on_top():
    top = text_of(render(page())).split("Deployments")[0]
    assert "NO-GO" in top
    assert "ROLLED BACK" in top
    assert "1.1.0 served again 0.20 s after the verdict" in top
    assert "one machine" in top


def test_steps_show_old_to_new_with_their_durations_and_a_bad_watch_is_not_done():
    shown = view()
    assert (shown.old, shown.new, shown.outcome) == ("1.1.0", "1.2.0", "rolled-back")
    assert [(step.name, step.state, step.attempts) for step in shown.steps] == [
        ("snapshot", "done", 1),
        ("switch", "done", 2),
        ("watch", "fail", 1),
    ]
    assert shown.steps[2].share_percent == 100
    assert shown.judgements == (FAILED, FINE)


def test_charts_show_before_and_after_and_the_moment_of_the_verdict():
    shown = view()
    assert len(shown.charts) == 2
    assert "verdict: roll back at +3.0 s" in shown.charts[0]
    assert "between 1 and 80 %" in shown.charts[0]


def test_a_baseline_of_another_generation_is_not_drawn():
    other = replace(BASELINE, generation="g0")
    assert "between 20 and 80 %" in view(baseline=other).charts[0]


def test_a_deployment_that_is_not_finished_says_how_far_it_got():
    shown = view(STORY[:3])
    assert (shown.outcome, shown.sentence) == ("running", "not finished; it reached snapshot")
    assert shown.charts == ()
    assert "RUNNING" in render(page(deployments=(shown,)))


def test_what_is_not_built_or_outside_is_counted_in_the_open():
    text = text_of(render(page()))
    assert "365 requirements, 1 unknown, 364 not built" in text
    assert "not built: no check exists yet" in text


def test_who_approved_what_on_which_evidence():
    said = Said(
        "Ada Example",
        "signs as tech-lead",
        "approval.tech-lead",
        "approves what was shown",
        AT,
        "f" * 64,
        "d" * 64,
        "-----BEGIN SSH SIGNATURE-----",
        True,
        "",
    )
    text = text_of(
        render(page(statements=(said, replace(said, current=False, why_not="the key is not hers"))))
    )
    assert "Ada Example" in text
    assert "holds" in text
    assert "shown dddddddddddd" in text
    assert "the key is not hers" in text
    assert "BEGIN SSH SIGNATURE" in text


def test_waivers_are_listed_with_owner_and_end():
    waiver = Waiver("build.unit-tests-pass", "ada", "a flaky disk", AT, AT + timedelta(days=1))
    text = text_of(render(page(waivers=(waiver,))))
    assert "a flaky disk" in text
    assert "2026-11-24 12:00:00 UTC" in text


def test_text_from_the_world_is_escaped():
    html = render(page())
    assert "<b>fail</b>" not in html
    assert "&lt;b&gt;fail&lt;/b&gt;" in html


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tags():
    parser = _Tags()
    parser.feed(render(page()))
    return parser.found


def test_the_page_loads_nothing_and_runs_nothing(tags):
    assert not [tag for tag, _ in tags if tag in {"script", "link", "img", "iframe", "form"}]
    links = [attrs.get("href", "") for tag, attrs in tags if tag == "a"]
    assert all(link.startswith("#") for link in links)


def test_every_link_leads_to_a_place_on_the_page(tags):
    places = {attrs["id"] for _, attrs in tags if "id" in attrs}
    assert {attrs["href"][1:] for tag, attrs in tags if tag == "a"} <= places


def test_it_can_be_read_without_seeing_it(tags):
    assert ("html", {"lang": "en"}) in tags
    charts = [attrs for tag, attrs in tags if tag == "svg"]
    assert charts
    assert all(attrs.get("role") == "img" and attrs.get("aria-label") for attrs in charts)
    assert all(attrs.get("scope") == "col" for tag, attrs in tags if tag == "th")
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(headings))
