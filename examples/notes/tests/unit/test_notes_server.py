"""The server as a client sees it, over the SDK's own in-process connection."""

from __future__ import annotations

import json

import anyio
import pytest
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated

from notes.desk import DESK_PLACES, ResultDesk
from notes.releases import RELEASES
from notes.server import Notebook, build

pytestmark = pytest.mark.anyio


async def made(client, title="Plan", **arguments) -> dict:
    result = await client.call_tool("create_note", {"title": title, **arguments})
    assert not result.is_error, result.content
    return result.structured_content


async def test_each_release_offers_the_tools_it_declares(client_of):
    base = {"append_to_note", "create_note", "delete_note", "reindex", "search_notes", "summarise_tag"}
    base.add("word_count")
    for version, expected in (
        ("1.0.0", base),
        ("1.1.0", base | {"list_tags"}),
        ("1.2.0", base | {"list_tags"}),
    ):
        async with client_of(version) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == expected
            assert client.server_info.version == version


async def test_a_note_is_created_found_read_and_deleted(client_of):
    async with client_of() as client:
        note = await made(client, body="Ship on Monday", tags=["work"])
        found = await client.call_tool("search_notes", {"query": "monday"})
        assert [hit["id"] for hit in found.structured_content["hits"]] == [note["id"]]
        read = await client.read_resource(f"note://{note['id']}")
        assert read.contents[0].text == "# Plan\n#work\n\nShip on Monday"
        assert read.contents[0].mime_type == "text/markdown"
        gone = await client.call_tool("delete_note", {"note_id": note["id"]})
        assert gone.structured_content["title"] == "Plan"
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"note://{note['id']}")
        assert caught.value.code == -32602


async def test_a_search_hit_has_a_snippet_from_the_second_release_on(client_of):
    async with client_of("1.0.0") as client:
        await made(client, body="Ship on Monday")
        first = await client.call_tool("search_notes", {"query": "ship"})
    async with client_of("1.1.0") as client:
        second = await client.call_tool("search_notes", {"query": "ship"})
    assert first.structured_content["hits"][0]["snippet"] is None
    assert second.structured_content["hits"][0]["snippet"] == "Ship on Monday"


async def test_index_and_tags_are_resources(client_of):
    async with client_of() as client:
        await made(client, tags=["work"])
        index = json.loads((await client.read_resource("notes://index")).contents[0].text)
        tags = json.loads((await client.read_resource("notes://tags")).contents[0].text)
        assert [head["title"] for head in index] == ["Plan"]
        assert tags == [{"tag": "work", "notes": 1}]
        assert (await client.call_tool("list_tags", {})).structured_content["result"] == tags


async def test_the_newest_notes_are_listed_as_resources_after_the_fixed_ones(client_of):
    async with client_of() as client:
        for number in range(51):
            await made(client, title=f"note {number}")
        listed = [(resource.uri, resource.name) for resource in (await client.list_resources()).resources]
        assert [uri for uri, _ in listed[:2]] == ["notes://index", "notes://tags"]
        assert [name for _, name in listed[2:]] == [f"note {number}" for number in range(50, 0, -1)]


async def test_creating_a_note_is_told_to_those_who_follow_the_list(client_of):
    async with client_of() as client:
        with anyio.fail_after(5):
            async with client.listen(resources_list_changed=True) as subscription:
                await made(client)
                async for change in subscription:
                    assert change == ResourcesListChanged()
                    break


async def test_word_count_gives_the_known_answer(client_of):
    async with client_of() as client:
        counted = await client.call_tool("word_count", {"text": "one two three"})
        assert counted.structured_content == {"words": 3, "characters": 13, "lines": 1}


async def test_a_tag_is_summarised_and_an_unknown_one_is_told(client_of):
    async with client_of() as client:
        await made(client, body="rollback rehearsed", tags=["ops"])
        summary = await client.call_tool("summarise_tag", {"tag": "ops"})
        assert summary.structured_content["frequent_words"] == ["rehearsed", "rollback"]
        unknown = await client.call_tool("summarise_tag", {"tag": "nothing"})
        assert unknown.is_error
        assert "notes://tags lists the tags" in unknown.content[0].text


@pytest.mark.parametrize(
    ("tool", "fits", "too_much"),
    [
        ("create_note", {"title": "t" * 200}, {"title": "t" * 201}),
        ("create_note", {"title": "t", "body": "b" * 20_000}, {"title": "t", "body": "b" * 20_001}),
        ("create_note", {"title": "t", "tags": ["x"] * 10}, {"title": "t", "tags": ["x"] * 11}),
        ("create_note", {"title": "t", "tags": ["x" * 40]}, {"title": "t", "tags": ["x" * 41]}),
        ("create_note", {"title": "t", "tags": ["a-b"]}, {"title": "t", "tags": ["A b"]}),
        ("search_notes", {"query": "q" * 200}, {"query": "q" * 201}),
        ("search_notes", {"query": "q", "limit": 50}, {"query": "q", "limit": 51}),
        ("search_notes", {"query": "q", "limit": 1}, {"query": "q", "limit": 0}),
        ("word_count", {"text": "w" * 100_000}, {"text": "w" * 100_001}),
    ],
)
async def test_a_limit_admits_its_edge_and_refuses_what_lies_beyond(client_of, tool, fits, too_much):
    async with client_of() as client:
        assert not (await client.call_tool(tool, fits)).is_error
        refused = await client.call_tool(tool, too_much)
        assert refused.is_error


async def test_an_unknown_note_is_a_tool_error_that_says_where_ids_come_from(client_of):
    async with client_of() as client:
        answer = await client.call_tool("append_to_note", {"note_id": "n-" + "0" * 16, "text": "x"})
        assert answer.is_error
        assert "search_notes and notes://index give ids" in answer.content[0].text


async def test_a_change_is_notified_to_those_who_listen_for_it(client_of):
    async with client_of() as client:
        note = await made(client)
        uri = f"note://{note['id']}"
        with anyio.fail_after(5):
            async with client.listen(resource_subscriptions=[uri]) as subscription:
                await client.call_tool("append_to_note", {"note_id": note["id"], "text": "more"})
                async for change in subscription:
                    assert change == ResourceUpdated(uri=uri)
                    break


async def test_reindexing_reports_progress_up_to_the_total(client_of):
    seen: list[tuple[float, float | None]] = []

    async def progress(done, total, _message):
        seen.append((done, total))

    async with client_of() as client:
        for number in range(60):
            await made(client, title=f"note {number}")
        result = await client.call_tool("reindex", {}, progress_callback=progress)
    assert result.structured_content == {"notes": 60}
    assert seen == [(0, 60), (50, 60), (60, 60)]


async def test_reindexing_stops_when_it_is_cancelled(client_of):
    async with client_of() as client:
        for number in range(60):
            await made(client, title=f"note {number}")
        seen: list[float] = []

        async def progress(done, _total, _message):
            seen.append(done)
            if done:
                scope.cancel()

        with anyio.CancelScope() as scope:
            await client.call_tool("reindex", {}, progress_callback=progress)
        assert scope.cancelled_caught
        assert seen == [0, 50]
        assert (await client.call_tool("word_count", {"text": ""})).structured_content["words"] == 0


async def test_the_prompt_names_the_tag(client_of):
    async with client_of() as client:
        prompt = await client.get_prompt("weekly_review", {"tag": "ops"})
        assert "'ops'" in prompt.messages[0].content.text


async def filled(client, notes: int) -> None:
    for number in range(notes):
        await made(client, title=f"release note {number}")


async def test_the_bad_release_passes_a_short_test_and_fails_under_load_as_a_server_fault(client_of):
    async with client_of("1.2.0") as client:
        await filled(client, 6)
        for _ in range(DESK_PLACES):
            answer = await client.call_tool("search_notes", {"query": "release", "limit": 5})
            assert len(answer.structured_content["hits"]) == 5
        with pytest.raises(MCPError) as caught:
            await client.call_tool("search_notes", {"query": "release", "limit": 5})
        assert caught.value.code == -32603
        assert caught.value.data["release"] == "1.2.0"
        assert (await client.call_tool("word_count", {"text": "a"})).structured_content["words"] == 1


async def test_the_good_releases_survive_what_breaks_the_bad_one(client_of):
    for version in ("1.0.0", "1.1.0"):
        async with client_of(version) as client:
            await filled(client, 6)
            for _ in range(DESK_PLACES + 1):
                answer = await client.call_tool("search_notes", {"query": "release", "limit": 5})
                assert len(answer.structured_content["hits"]) == 5


async def test_a_search_of_the_bad_release_can_be_continued_to_its_end(client_of):
    async with client_of("1.2.0") as client:
        await filled(client, 5)
        first = (await client.call_tool("search_notes", {"query": "release", "limit": 2})).structured_content
        second = await client.call_tool(
            "search_notes", {"query": "release", "limit": 2, "cursor": first["cursor"]}
        )
        rest = second.structured_content
        last = await client.call_tool(
            "search_notes", {"query": "release", "limit": 2, "cursor": rest["cursor"]}
        )
        pages = [first["hits"], rest["hits"], last.structured_content["hits"]]
        assert [len(page) for page in pages] == [2, 2, 1]
        assert len({hit["id"] for page in pages for hit in page}) == 5
        assert last.structured_content["cursor"] is None
        again = await client.call_tool("search_notes", {"query": "release", "cursor": first["cursor"]})
        assert again.is_error


async def test_a_desk_gives_its_place_back_when_the_last_page_was_fetched():
    desk = ResultDesk(places=1)
    for _ in range(3):
        cursor = desk.put(["a", "b"])
        assert desk.take(cursor, 2) == (["a", "b"], None)


async def test_the_notebook_is_closed_outside_the_lifespan(tmp_path, clock):
    notebook = Notebook(str(tmp_path / "notes.sqlite"), clock)
    with pytest.raises(RuntimeError, match="not open"):
        await notebook.ask(lambda store: store.count())


async def test_a_server_without_its_lifespan_answers_no_call(tmp_path, clock):
    server = build(RELEASES["1.0.0"], str(tmp_path / "notes.sqlite"), clock)
    with pytest.raises(ToolError):
        await server.call_tool("create_note", {"title": "x"})
