"""The runner: one finding for each requirement, in order, bounded, journalled, with evidence."""

import asyncio
import dataclasses
import sys
from datetime import timedelta
from types import ModuleType

import pytest
from check_world import World, asking, settings_for, utc_now
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from gonogo.checklist.catalogue import CATALOGUE
from gonogo.checks.check import Check, Ruling, SideEffect
from gonogo.checks.readings import facts_of, json_reading
from gonogo.checks.registry import collected, load_checks
from gonogo.checks.runner import PER_TARGET
from gonogo.journal.evidence import EvidenceStore
from gonogo.journal.journal import Journal
from gonogo.model.codec import to_json
from gonogo.model.entry import EntryKind
from gonogo.model.errors import GonogoError
from gonogo.model.finding import Answer
from gonogo.model.people import Attestation, Role, SignOff, Waiver
from gonogo.model.release import Fingerprint
from gonogo.people.signing import sign
from gonogo.people.trust import text_to_sign

FINGERPRINT = Fingerprint("a", "b", "c", "d").digest


def check(check_id, probe=None, answer=Answer.PASS, **changes):
    async def reads(_ctx):
        return [json_reading("here", {"n": 1})]

    return Check(
        id=check_id,
        boxes=(check_id,),
        probe=probe or reads,
        judge=lambda readings, _ctx: Ruling(answer, "s", f"n is {facts_of(readings)['n']}"),
        **changes,
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Findings by id of some checks of our own, over some requirements or all."""

    def findings(checks, *ids, only=True, people=None, baseline=None):
        monkeypatch.setattr("check_world.load_checks", lambda: {c.id: c for c in checks})
        world = World(repo=tmp_path, settings=settings_for(people=people or {}), baseline=baseline)
        return asyncio.run(asking(world, tmp_path / "state", *ids, only=only))

    return findings


def journal(tmp_path):
    return Journal.open(tmp_path / "state", clock=utc_now, service="notes")


def test_every_requirement_gets_one_finding_and_all_are_journalled(run, tmp_path):
    found = run([check("build.compiles")], only=False)
    assert list(found) == [r.id for r in CATALOGUE.all]
    assert found["build.compiles"].answer is Answer.PASS
    with journal(tmp_path) as record:
        assert len(list(record.entries(kinds={EntryKind.FINDING}))) == 366


def test_a_requirement_without_a_check_is_unknown_and_not_built(run):
    found = run([], "build.compiles")["build.compiles"]
    assert (found.answer, found.built) == (Answer.UNKNOWN, False)
    assert "not built" in found.reason
    assert found.hint


def test_evidence_is_stored_and_named_by_the_finding(run, tmp_path):
    found = run([check("build.compiles")], "build.compiles")["build.compiles"]
    with journal(tmp_path) as record:
        bodies = [entry.body for entry in record.entries(kinds={EntryKind.EVIDENCE})]
    assert found.evidence == (bodies[0]["id"],)
    assert b'"n": 1' in EvidenceStore(tmp_path / "state").get(bodies[0]["digest"])


def test_findings_are_bound_to_the_fingerprint_and_end(run):
    found = run([check("build.compiles", valid_s=60.0)], "build.compiles")["build.compiles"]
    assert found.fingerprint == FINGERPRINT
    assert found.valid_until - found.measured_at == timedelta(seconds=60)


def test_a_check_answers_all_its_boxes(run):
    both = dataclasses.replace(check("build.compiles"), boxes=("build.compiles", "build.types-clean"))
    found = run([both], "build.compiles", "build.types-clean")
    assert {f.answer for f in found.values()} == {Answer.PASS}


def test_a_probe_that_hangs_is_unknown_at_its_deadline(run):
    async def hangs(_ctx):
        await asyncio.Event().wait()

    found = run([check("build.compiles", hangs, deadline_s=0.05)], "build.compiles")["build.compiles"]
    assert found.answer is Answer.UNKNOWN
    assert "0.05 s" in found.reason


def test_a_probe_that_brings_nothing_is_unknown(run):
    async def nothing(_ctx):
        return []

    assert (
        run([check("build.compiles", nothing)], "build.compiles")["build.compiles"].answer is Answer.UNKNOWN
    )


def test_a_fault_is_unknown_with_its_own_hint(run):
    async def fails(_ctx):
        raise GonogoError("x.y", "the tap is closed", hint="open it")

    found = run([check("build.compiles", fails)], "build.compiles")["build.compiles"]
    assert (found.answer, found.reason, found.hint) == (Answer.UNKNOWN, "the tap is closed", "open it")


def test_a_judge_that_breaks_is_unknown(run):
    broken = dataclasses.replace(check("build.compiles"), judge=lambda _r, _c: 1 / 0)
    found = run([broken], "build.compiles")["build.compiles"]
    assert found.answer is Answer.UNKNOWN
    assert "ZeroDivisionError" in found.reason


@pytest.mark.parametrize("need", ["git", "scratch", "command:unit-tests", "previous", "no-such-need"])
def test_a_missing_capability_is_unknown_and_says_what_mends_it(run, tmp_path, need):
    found = run([check("build.compiles", needs=frozenset({need}))], "build.compiles")["build.compiles"]
    there = need in {"scratch", "previous"}  # the world of these tests has both
    assert (found.answer is Answer.PASS) is there
    assert there or found.hint


def test_no_more_than_two_checks_load_one_target_at_once(run):
    running, most = 0, 0

    async def counts(_ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        return [json_reading("here", {"n": 1})]

    ids = [r.id for r in CATALOGUE.all if r.id.startswith("build.") and not CATALOGUE.children(r.id)][:6]
    run([check(name, counts) for name in ids], *ids)
    assert most == PER_TARGET


def test_a_check_that_disturbs_runs_alone_and_last(run):
    order = []

    def noting(name, wait):
        async def probe(_ctx):
            order.append(f"{name} begins")
            for _ in range(wait):
                await asyncio.sleep(0)
            order.append(f"{name} ends")
            return [json_reading("here", {"n": 1})]

        return probe

    run(
        [
            check("build.compiles", noting("loud", 3), side_effect=SideEffect.DISRUPTIVE),
            check("build.types-clean", noting("calm", 5)),
            check("build.lock-file-committed", noting("second", 2), side_effect=SideEffect.DISRUPTIVE),
        ],
        "build.compiles",
        "build.types-clean",
        "build.lock-file-committed",
    )
    assert order[:2] == ["calm begins", "calm ends"]
    assert order[2:] in (
        ["loud begins", "loud ends", "second begins", "second ends"],
        ["second begins", "second ends", "loud begins", "loud ends"],
    )


def test_the_baseline_is_measured_before_anything_else_begins(run):
    """Else it holds what our own tests cost the machine, and a slow release looks no slower than that."""
    order = []

    def noting(name):
        async def probe(_ctx):
            order.append(f"{name} begins")
            for _ in range(5):
                await asyncio.sleep(0)
            order.append(f"{name} ends")
            return [json_reading("here", {"n": 1})]

        return probe

    def needing(check_id, name, *needs):
        return check(check_id, noting(name), needs=frozenset(needs))

    run(
        [
            needing("build.types-clean", "tests"),
            needing("monitoring.health-endpoints", "look", "admin"),
            needing("baseline.latency", "baseline", "baseline"),
        ],
        "build.types-clean",
        "monitoring.health-endpoints",
        "baseline.latency",
        baseline=lambda: None,
    )
    in_order = ("baseline", "look", "tests")
    assert order == [f"{name} {what}" for name in in_order for what in ("begins", "ends")]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((Answer.PASS, Answer.PASS, Answer.PASS, Answer.PASS, Answer.PASS), Answer.PASS),
        ((Answer.PASS, Answer.FAIL, Answer.PASS, Answer.PASS, Answer.PASS), Answer.FAIL),
        ((Answer.PASS, Answer.UNKNOWN, Answer.PASS, Answer.PASS, Answer.PASS), Answer.UNKNOWN),
        ((Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.PASS, Answer.PASS), Answer.FAIL),
        ((Answer.WARN, Answer.PASS, Answer.PASS, Answer.PASS, Answer.PASS), Answer.WARN),
    ],
)
def test_a_roll_up_is_as_good_as_its_worst_child(run, answers, expected):
    children = CATALOGUE.children("baseline.established")
    checks = [check(c.id, answer=a) for c, a in zip(children, answers, strict=True)]
    assert run(checks, "baseline.established")["baseline.established"].answer is expected


def test_asking_for_a_roll_up_asks_for_its_children(run):
    found = run([], "baseline.established")
    assert {c.id for c in CATALOGUE.children("baseline.established")} < set(found)
    assert found["baseline.established"].built is False


def test_what_does_not_apply_is_said_to_and_not_probed(run):
    async def never(_ctx):
        raise AssertionError("a check of TLS ran where there is none")

    found = run([check("tls.minimum-version", never)], "tls.minimum-version")["tls.minimum-version"]
    assert found.answer is Answer.NOT_APPLICABLE
    assert "TLS" in found.reason


def test_what_nothing_declares_is_unknown_and_says_how_to_leave_it_out(run):
    found = run([], "prod.database")["prod.database"]
    assert (found.answer, found.built) == (Answer.UNKNOWN, False)
    assert "not_applicable" in found.hint


def test_a_signature_that_may_not_be_needed_is_unknown_until_that_is_told(run, people):
    found = run([], "approval.security", people=people)["approval.security"]
    assert found.answer is Answer.UNKNOWN
    assert "not signed yet" in found.reason


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Private key files of two people, by name."""
    found = {}
    for name in ("ada", "bob"):
        key = Ed25519PrivateKey.generate()
        path = tmp_path_factory.mktemp("keys") / name
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        path.chmod(0o600)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        path.with_suffix(".pub").write_bytes(public)
        found[name] = path
    return found


@pytest.fixture
def people(keys):
    roles = {"ada": ["tech-lead", "release-manager"], "bob": ["operations-lead"]}
    return {
        name: {
            "name": name,
            "email": f"{name}@example.com",
            "phone": "+1",
            "roles": roles[name],
            "ssh_keys": [path.with_suffix(".pub").read_text()],
        }
        for name, path in keys.items()
    }


@pytest.fixture
def says(tmp_path, keys):
    """Record a statement, signed with somebody's key."""

    def record(kind, statement, *, by="ada", release="rel-notes"):
        signed = dataclasses.replace(
            statement, signature=sign(keys[by], text_to_sign(statement, release=release))
        )
        with journal(tmp_path) as entries:
            entries.append(kind, to_json(signed), actor=by, release="rel-notes")

    return record


def attestation(**changes):
    facts = {"check_id": "people.primary-identified", "person": "ada", "statement": "Ada is on call",
             "fingerprint": FINGERPRINT, "at": utc_now(), "valid_until": utc_now() + timedelta(hours=1),
             "signature": ""}  # fmt: skip
    return Attestation(**facts | changes)


def test_a_waived_child_does_not_fail_its_roll_up(run, says, people):
    children = CATALOGUE.children("baseline.established")
    for owner in ("ada", "bob"):  # a blocker takes the release manager and the operations lead
        waiver = Waiver(children[0].id, owner, "measured by hand", utc_now(), utc_now() + timedelta(hours=1))
        says(EntryKind.WAIVER, waiver, by=owner)
    answers = [Answer.FAIL] + [Answer.PASS] * (len(children) - 1)
    checks = [check(c.id, answer=a) for c, a in zip(children, answers, strict=True)]
    found = run(checks, "baseline.established", people=people)
    assert found["baseline.established"].answer in {Answer.PASS, Answer.WARN}
    assert found[children[0].id].answer is Answer.FAIL


def test_what_nobody_said_fails_with_the_command_that_says_it(run, people):
    found = run([], "people.primary-identified", "approval.tech-lead", people=people)
    assert {f.answer for f in found.values()} == {Answer.FAIL}
    assert "not attested yet" in found["people.primary-identified"].reason
    assert found["people.primary-identified"].hint.startswith(
        "gonogo attest people.primary-identified --version 1.1.0"
    )
    assert "not signed yet" in found["approval.tech-lead"].reason
    assert found["approval.tech-lead"].hint.startswith("gonogo sign approval.tech-lead --version 1.1.0")


def test_a_valid_word_passes(run, says, people):
    says(EntryKind.ATTESTATION, attestation())
    sign_off = SignOff("approval.tech-lead", Role.TECH_LEAD, "ada", FINGERPRINT, "d" * 64, utc_now(), "")
    says(EntryKind.SIGN_OFF, sign_off)
    found = run([], "people.primary-identified", "approval.tech-lead", people=people)
    assert {f.answer for f in found.values()} == {Answer.PASS}, found


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"fingerprint": "0" * 64}, {}),
        ({"valid_until": utc_now() - timedelta(seconds=1)}, {}),
        ({"person": "mallory"}, {}),
        ({"check_id": "people.primary-access"}, {}),
        ({}, {"by": "bob"}),
        ({}, {"release": "rel-other"}),
    ],
)
def test_a_word_for_something_else_or_by_somebody_else_does_not_count(run, says, people, changes, how):
    says(EntryKind.ATTESTATION, attestation(**changes), **how)
    found = run([], "people.primary-identified", people=people)["people.primary-identified"]
    assert found.answer is Answer.FAIL


def test_every_check_answers_requirements_of_the_checklist_and_its_own_first():
    checks = load_checks()
    assert len(checks) >= 30
    for name, found in checks.items():
        assert found.id == name == found.boxes[0]
        assert all(CATALOGUE.get(box) for box in found.boxes)
        assert found.probe is not None
        assert found.judge is not None


def test_the_checks_come_in_the_same_order_every_time():
    assert list(load_checks()) == list(load_checks())


def test_two_checks_for_one_requirement_are_an_error():
    with pytest.raises(GonogoError, match=r"build\.compiles"):
        collected([("one", check("build.compiles")), ("two", check("build.compiles"))])


def test_a_module_whose_check_is_something_else_is_an_error():
    with pytest.raises(GonogoError, match="expected Check"):
        collected([("one", "not a check")])


def test_a_check_file_is_found_without_a_list(tmp_path, monkeypatch):
    package = tmp_path / "extra_checks"
    (package / "group").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "group" / "__init__.py").write_text("")
    (package / "group" / "mine.py").write_text(
        "from gonogo.checks.check import Check\n"
        "CHECK = Check(id='build.compiles', boxes=('build.compiles',))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import extra_checks

    assert isinstance(extra_checks, ModuleType)
    assert list(load_checks(extra_checks)) == ["build.compiles"]
    for name in [n for n in sys.modules if n.startswith("extra_checks")]:
        monkeypatch.delitem(sys.modules, name)
