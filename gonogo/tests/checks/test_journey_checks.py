"""The journeys on the candidate: walked for real, and caught when one step of them goes wrong."""

import asyncio
import json

import pytest
from check_world import Tamper, settings_for

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, McpClient
from gonogo.model.finding import Answer

ALL = ("journeys.tool-execution", "journeys.create-resource", "journeys.list-resources", "journeys.subscribe")


@pytest.mark.parametrize("check_id", ALL)
def test_the_real_candidate_walks_it(ask, candidate_world, check_id):
    found = ask(candidate_world(), check_id)[check_id]
    assert found.answer is Answer.PASS, found
    assert len(found.evidence) == 2


def test_a_subscriber_of_either_era_is_told(ask, candidate_world):
    found = ask(candidate_world(), "journeys.subscribe")["journeys.subscribe"]
    assert all(era in found.reason for era in Era), found.reason
    assert "offers none" not in found.reason


@pytest.mark.parametrize("check_id", ALL)
def test_a_journey_that_nobody_declared_is_unknown_and_says_what_to_declare(ask, candidate_world, check_id):
    world = candidate_world()
    world.settings = settings_for(journeys={})
    found = ask(world, check_id)[check_id]
    assert found.answer is Answer.UNKNOWN
    assert "gonogo.toml" in found.hint


NEEDED = {
    "journeys.tool-execution": ("pure_tool", "invalid_tool"),
    "journeys.create-resource": ("create", "remove", "resource", "resource_holds"),
    "journeys.list-resources": ("create", "remove", "resource"),
    "journeys.subscribe": ("create", "change", "remove", "resource"),
}


@pytest.mark.parametrize(
    ("check_id", "part"), [(id_, part) for id_, parts in NEEDED.items() for part in parts]
)
def test_a_journey_without_one_of_its_parts_is_unknown_and_names_it(ask, candidate_world, check_id, part):
    world = candidate_world()
    journeys = world.settings.journeys
    empty = type(journeys)()
    without = journeys.model_copy(update={part: getattr(empty, part)})
    world.settings = world.settings.model_copy(update={"journeys": without})
    found = ask(world, check_id)[check_id]
    assert found.answer is Answer.UNKNOWN
    assert f"journeys.{part} is not declared" in found.reason


class Texts(Tamper):
    """Replaces text in finished answers and in streams."""

    def __init__(self, before, after):
        self.before, self.after = before.encode(), after.encode()

    def answer(self, method, path, status, headers, body):
        return status, headers, body.replace(self.before, self.after)

    def chunk(self, data):
        return data.replace(self.before, self.after)


def test_a_wrong_answer_fails(through):
    class Miscounts(Tamper):
        def answer(self, method, path, status, headers, body):
            return (
                status,
                headers,
                body.replace(b'"words":3', b'"words":4').replace(b'words\\": 3', b'words\\": 4'),
            )

    found = through("journeys.tool-execution", Miscounts())
    assert found.answer is Answer.FAIL
    assert "known call" in found.reason


def test_a_slow_call_without_progress_fails(through):
    found = through("journeys.tool-execution", Texts("notifications/progress", "notifications/message"))
    assert found.answer is Answer.FAIL
    assert "progress" in found.reason


def test_an_invalid_call_that_is_accepted_fails(through):
    found = through("journeys.tool-execution", Texts('"isError":true', '"isError":false'))
    assert found.answer is Answer.FAIL
    assert "accepted" in found.reason


def test_a_resource_that_is_not_as_it_was_made_fails(through):
    found = through("journeys.create-resource", Texts("made by gonogo", "altered"))
    assert found.answer is Answer.FAIL
    assert "read back" in found.reason


def test_a_resource_that_outlives_its_removal_fails(through):
    class Keeps(Tamper):
        """Forgets to remove: the call is turned into one that changes nothing."""

        def request(self, method, path, headers, body):
            if b'"delete_note"' in body:
                message = json.loads(body)
                message["params"] |= {"name": "word_count", "arguments": {"text": "kept"}}
                headers = {**headers, **({"mcp-name": "word_count"} if "mcp-name" in headers else {})}
                body = json.dumps(message).encode()
            return method, path, headers, body

    found = through("journeys.create-resource", Keeps())
    assert found.answer is Answer.FAIL
    assert "still readable" in found.reason


def test_a_list_that_leaves_the_new_one_out_fails(through):
    class Stale(Tamper):
        def answer(self, method, path, status, headers, body):
            return (
                status,
                headers,
                (body.replace(b"gonogo-", b"hidden-") if b"notes://index" in body else body),
            )

    found = through("journeys.list-resources", Stale())
    assert found.answer is Answer.FAIL
    assert "0 times" in found.reason


def test_a_list_with_a_duplicate_fails(through):
    class Doubles(Tamper):
        def answer(self, method, path, status, headers, body):
            if b'"resources":[' in body:
                message = json.loads(body)
                message["result"]["resources"] *= 2
                body = json.dumps(message).encode()
            return status, headers, body

    found = through("journeys.list-resources", Doubles())
    assert found.answer is Answer.FAIL
    assert "duplicates" in found.reason


def test_a_list_whose_pages_never_end_is_unknown(through):
    class Endless(Tamper):
        def answer(self, method, path, status, headers, body):
            if b'"resources":[' in body:
                message = json.loads(body)
                message["result"]["nextCursor"] = "again"
                body = json.dumps(message).encode()
            return status, headers, body

    assert through("journeys.list-resources", Endless()).answer is Answer.UNKNOWN


def test_a_change_that_nobody_hears_of_fails(through):
    class Deaf(Tamper):
        def chunk(self, data):
            return b": nothing\n\n" if b"resources/updated" in data else data

    found = through("journeys.subscribe", Deaf())
    assert found.answer is Answer.FAIL
    assert "no notification" in found.reason


def test_a_notification_without_its_listen_id_fails(through):
    found = through(
        "journeys.subscribe", Texts("modelcontextprotocol/subscriptionId", "modelcontextprotocol/other")
    )
    assert found.answer is Answer.FAIL
    assert "stamped" in found.reason


def test_what_a_journey_created_is_removed_even_when_it_fails(through, stack):
    async def created():
        async with HttpReader() as http:
            client = McpClient(stack.candidate_url + "/mcp", http, Era.MODERN)
            return str((await client.read_resource("notes://index")).result).count("gonogo-")

    before = asyncio.run(created())
    assert through("journeys.create-resource", Texts("made by gonogo", "altered")).answer is Answer.FAIL
    assert asyncio.run(created()) == before
