"""The way back: rehearsed for real on a scratch copy of its own, and caught when it fails."""

import asyncio
import sys

import pytest
from check_world import ERLMCP, NOTES, StagedProvider, Tamper, World, asking, proxied, settings_for

from gonogo.model.finding import Answer

SCRATCH = [
    str(ERLMCP),
    "serve",
    "{target}",
    "--http",
    "{http}",
    "--admin",
    "{admin}",
    "--control",
    "{control}",
    "--version-label",
    "{version}",
]  # fmt: skip - one command
IDS = ("rollback.staging-rehearsal", "rollback.time", "config.log-level-info")


def with_scratch(command):
    return settings_for(
        commands={"scratch": command, "scratch_env": {"NOTES_DATABASE": "{scratch}/notes.sqlite"}}
    )


def test_a_scratch_copy_is_started_rehearsed_on_and_ended(ask):
    world = World(repo=NOTES, settings=with_scratch(SCRATCH))
    found = ask(world, *IDS)
    assert {name: f.answer for name, f in found.items()} == dict.fromkeys(IDS, Answer.PASS), found
    assert " 0 of " in found["rollback.staging-rehearsal"].reason


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-c", "print('no database'); raise SystemExit(4)"], ["/no/such/program"], []],
)
def test_a_scratch_copy_that_does_not_start_is_unknown_with_the_reason(ask, tmp_path, command):
    found = ask(World(repo=NOTES, settings=with_scratch(command)), *IDS)
    assert {f.answer for f in found.values()} == {Answer.UNKNOWN}
    if "-c" in command:
        assert "exit code 4" in found["rollback.time"].reason
        kept = b"".join(p.read_bytes() for p in (tmp_path / "state" / "evidence").rglob("*") if p.is_file())
        assert b"no database" in kept


class FailsSomeCalls(Tamper):
    """Every third call of one era is answered with 503, as a switch without a hand-over would."""

    calls = 0

    def answer(self, method, path, status, headers, body):
        if path == "/mcp" and b'"tools"' in body and b'"resultType"' not in body:
            self.calls += 1
            if self.calls % 3 == 0:
                return 503, headers, b"{}"
        return status, headers, body


class StaysOnTheCandidate(Tamper):
    """/health names the candidate's version for good, whatever serves."""

    moved = False

    def answer(self, method, path, status, headers, body):
        self.moved |= b'"version":"1.1.0"' in body
        if path == "/health" and self.moved:
            body = body.replace(b'"version":"1.0.0"', b'"version":"1.1.0"')
        return status, headers, body


@pytest.mark.parametrize(
    ("tamper", "which", "why"),
    [(FailsSomeCalls(), "base_url", "calls failed"), (StaysOnTheCandidate(), "admin_url", "ended on 1.1.0")],
)
def test_a_rehearsal_that_goes_wrong_fails(stack, tmp_path, tamper, which, why):
    async def run():
        async with proxied(getattr(stack, which), tamper) as url:
            world = World(
                repo=tmp_path, settings=settings_for(), scratch=lambda: StagedProvider(stack, **{which: url})
            )
            return (await asking(world, tmp_path / "state", IDS[0]))[IDS[0]]

    found = asyncio.run(run())
    assert found.answer is Answer.FAIL, found
    assert why in found.reason


def test_a_candidate_that_is_another_version_than_the_manifest_fails(ask, candidate_world):
    world = candidate_world()
    world.manifest = world.manifest.model_copy(update={"version": "1.1.1"})
    found = ask(world, IDS[0])[IDS[0]]
    assert found.answer is Answer.FAIL
    assert "expected 1.1.1" in found.reason
