"""Checks of the candidate on the scratch copy: each passes on the real one and catches its own fault."""

import asyncio
import json
import random
import string

import pytest
from check_world import (
    NOTES,
    Page,
    StagedProvider,
    Tamper,
    World,
    asking,
    manifest_for,
    proxied,
    settings_for,
)

from gonogo.adapters.erlmcp_control import ErlmcpControl
from gonogo.checks.data.id_statistics import statistics_of
from gonogo.checks.data.leaks import leaks_in
from gonogo.model.finding import Answer


class LetsOriginsIn(Tamper):
    """Forgets the Origin header, as a proxy before a server might."""

    def __init__(self, only=None):
        self.only = only

    def request(self, method, path, headers, body):
        if self.only is None or headers.get("origin") == self.only:
            headers = {k: v for k, v in headers.items() if k != "origin"}
        return method, path, headers, body


class Leaks(Tamper):
    """Puts something of the inside into one kind of error."""

    def __init__(self, text):
        self.text = text

    def answer(self, method, path, status, headers, body):
        if status == 404:
            body = json.dumps({"error": self.text}).encode()
        return status, headers, body


class GuessableSessions(Tamper):
    """Issues counted ids in front of the real ones."""

    def __init__(self, form):
        self.form, self.real = form, {}

    def request(self, method, path, headers, body):
        known = self.real.get(headers.get("mcp-session-id", ""))
        return method, path, {**headers, "mcp-session-id": known} if known else headers, body

    def answer(self, method, path, status, headers, body):
        if "mcp-session-id" in headers:
            shown = self.form(len(self.real), headers["mcp-session-id"])
            self.real[shown] = headers["mcp-session-id"]
            headers = {**headers, "mcp-session-id": shown}
        return status, headers, body


class Statuses(Tamper):
    """Answers some requests with another status."""

    def __init__(self, before, after):
        self.before, self.after = before, after

    def answer(self, method, path, status, headers, body):
        return (self.after if status == self.before else status), headers, body


@pytest.mark.parametrize(
    ("check_id", "answer"),
    [
        ("auth.origin-validation", Answer.PASS),
        ("data.input-validated", Answer.WARN),  # the SDK calls an unknown prompt an internal error
        ("data.session-ids-secure", Answer.PASS),
    ],
)
def test_the_real_candidate_is_found_in_order(ask, candidate_world, check_id, answer):
    found = ask(candidate_world(), check_id)[check_id]
    assert found.answer in {answer, Answer.PASS}, found
    assert found.evidence


def test_the_real_candidates_errors_leak_nothing(ask, candidate_world):
    found = ask(candidate_world(), "data.errors-reveal-nothing")["data.errors-reveal-nothing"]
    assert found.answer in {Answer.PASS, Answer.WARN}, found
    assert "0 leaks" in found.reason


def test_a_server_that_lets_foreign_origins_in_fails(through):
    found = through("auth.origin-validation", LetsOriginsIn())
    assert found.answer is Answer.FAIL
    assert "https://evil.example" in found.subject


@pytest.mark.parametrize("origin", ["null", "http://localhost.evil.example", "http://127.0.0.1.evil.example"])
def test_a_server_that_lets_one_look_alike_in_fails_and_is_named(through, origin):
    found = through("auth.origin-validation", LetsOriginsIn(only=origin))
    assert found.answer is Answer.FAIL
    assert origin in found.subject


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('Traceback (most recent call last):\n  File "/srv/app/x.py", line 3', "a stack trace"),
        ("cannot open /home/ada/notes.sqlite", "a path of the host"),
        ("SELECT id FROM notes WHERE", "SQL"),
        ("KeyError: 'x'", "an exception's name"),
        ("uvicorn/0.30.1", "a version of a part"),
        ("NOTES_RELEASE is not set", "the variable NOTES_RELEASE"),
    ],
)
def test_an_error_that_shows_internals_fails(through, text, what):
    found = through("data.errors-reveal-nothing", Leaks(text))
    assert found.answer is Answer.FAIL
    assert what in found.reason


@pytest.mark.parametrize(
    "text",
    [
        "unknown tool: no_such_tool",
        "Invalid params: title is required",
        "error 404: not found",
        "tools/call: bad",
    ],
)
def test_an_honest_error_message_is_no_leak(text):
    assert leaks_in(text) == []


def test_counted_session_ids_fail(through):
    found = through("data.session-ids-secure", GuessableSessions(lambda n, _real: f"session-{n:06d}"))
    assert found.answer is Answer.FAIL
    assert "bits vary" in found.reason


ALPHABET = string.ascii_letters + string.digits


def random_ids(*, seed=7, alphabet=ALPHABET, length=40, count=200):
    source = random.Random(seed)
    return ["v1." + "".join(source.choices(alphabet, k=length)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_random_ids_look_random(seed):
    found = statistics_of(random_ids(seed=seed))
    assert found.unique == 200
    assert found.entropy_bits > 180
    assert min(found.bias_p, found.order_p) > 1e-5
    assert found.visible_ascii


@pytest.mark.parametrize(
    ("ids", "holds"),
    [
        (["same-id-0123456789abcdef"] * 200, lambda s: s.unique == 1 and s.entropy_bits == 0),
        ([f"{n:040d}" for n in range(200)], lambda s: s.entropy_bits < 20),
        (random_ids(alphabet=ALPHABET + "aaaaaaaaaa"), lambda s: s.bias_p < 0.001),
        (random_ids(alphabet="01", length=20), lambda s: s.entropy_bits < 21),
        ([one + "é" for one in random_ids()], lambda s: not s.visible_ascii),
        (sorted(random_ids(length=2)) * 2, lambda s: s.order_p < 0.001),
        ([], lambda s: s.count == 0 and s.entropy_bits == 0),
    ],
)
def test_each_way_of_being_guessable_shows(ids, holds):
    assert holds(statistics_of(ids))


def test_a_server_that_takes_altered_session_ids_fails(through):
    found = through("data.session-ids-secure", Statuses(404, 200))
    assert found.answer is Answer.FAIL
    assert "altered" in found.reason


def test_malformed_input_that_is_accepted_fails(through):
    class Accepts(Tamper):
        def answer(self, method, path, status, headers, body):
            if status == 400:
                return (
                    200,
                    {**headers, "content-type": "application/json"},
                    b'{"jsonrpc":"2.0","id":1,"result":{}}',
                )
            return status, headers, body

    found = through("data.input-validated", Accepts())
    assert found.answer is Answer.FAIL
    assert "accepted" in found.reason


def test_malformed_input_that_ends_in_a_server_error_fails(through):
    found = through("data.input-validated", Statuses(400, 500))
    assert found.answer is Answer.FAIL
    assert "5xx" in found.reason


def test_a_debug_page_on_the_candidate_fails(through):
    class Debug(Tamper):
        def answer(self, method, path, status, headers, body):
            return (200 if path == "/debug/vars" else status), headers, body

    found = through("config.debug-mode-off", Debug())
    assert found.answer is Answer.FAIL
    assert "/debug/vars" in found.reason


def test_the_real_candidate_runs_without_debug_and_at_info(ask, candidate_world):
    found = ask(candidate_world(), "config.debug-mode-off", "config.log-level-info")
    assert found["config.debug-mode-off"].answer is Answer.PASS, found["config.debug-mode-off"]
    assert found["config.log-level-info"].answer is Answer.PASS, found["config.log-level-info"]
    assert "info" in found["config.log-level-info"].reason


def test_a_release_that_declares_debug_fails_before_anything_is_started(ask, candidate_world):
    world = candidate_world(manifest=manifest_for(config={"log.level": "debug"}))
    found = ask(world, "config.log-level-info")["config.log-level-info"]
    assert found.answer is Answer.FAIL
    assert "debug" in found.reason


@pytest.mark.parametrize(("level", "answer"), [("debug", Answer.FAIL), ("warning", Answer.WARN)])
def test_the_effective_level_counts_and_not_only_the_declared_one(stack, tmp_path, level, answer):
    def change(config):
        if config["values"]["log.level"]["source"] == "generation":
            config["values"]["log.level"]["value"] = level
        return config

    async def run():
        async with proxied(stack.admin_url, Page("/config", change)) as url:
            world = World(
                repo=tmp_path,
                settings=settings_for(),
                scratch=lambda: StagedProvider(stack, admin_url=url),
            )
            return (await asking(world, tmp_path / "state", "config.log-level-info"))["config.log-level-info"]

    assert asyncio.run(run()).answer is answer


def test_a_release_without_a_rate_limit_fails_with_the_line_to_write(ask, candidate_world):
    found = ask(candidate_world(), "net.rate-limiting")["net.rate-limiting"]
    assert found.answer is Answer.FAIL
    assert "limits.requests_per_s" in found.hint


def test_a_declared_rate_limit_that_works_passes(stack, tmp_path):
    async def run():
        control = ErlmcpControl(stack.control)
        config = {"limits.requests_per_s": 20.0, "limits.burst": 10}
        env = {"NOTES_RELEASE": "1.1.0", "NOTES_DATABASE": str(tmp_path / "limited.sqlite")}
        spec = {"target": "notes.server:server", "version": "1.1.0", "python": "", "cwd": str(NOTES / "src")}
        await control.stage("limited", {**spec, "env": env, "config": config, "workers": None})
        try:
            limited = next(g for g in await control.generations() if g["id"] == "limited")
            world = World(
                repo=tmp_path,
                settings=settings_for(),
                manifest=manifest_for(config=config),
                scratch=lambda: StagedProvider(stack, candidate_url=limited["private_url"]),
            )
            return (await asking(world, tmp_path / "state", "net.rate-limiting"))["net.rate-limiting"]
        finally:
            await control.retire("limited")
            await control.close()

    found = asyncio.run(run())
    assert found.answer is Answer.PASS, found
    assert "429" in found.reason


def test_a_declared_rate_limit_that_nothing_enforces_fails(ask, candidate_world):
    world = candidate_world(manifest=manifest_for(config={"limits.requests_per_s": 5.0, "limits.burst": 5}))
    found = ask(world, "net.rate-limiting")["net.rate-limiting"]
    assert found.answer is Answer.FAIL
    assert "got 429" in found.reason
