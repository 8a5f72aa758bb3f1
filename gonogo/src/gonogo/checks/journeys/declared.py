"""Declared journeys: placeholders filled, tools called, a created resource always removed. Not a check."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from gonogo.adapters.http import HttpReader
from gonogo.adapters.mcp import Era, Exchange, McpClient, Transcript
from gonogo.checks.check import Ruling
from gonogo.checks.context import CheckContext
from gonogo.config.schema import ToolCall
from gonogo.model.errors import GonogoError
from gonogo.model.evidence import Reading
from gonogo.model.finding import Answer

UNDECLARED: Final = "undeclared"
"""In the facts of a journey: what was missing, in place of what was seen."""
_PLACEHOLDER = re.compile(r"\{(name|result\.[\w.]+)\}")


@dataclass(frozen=True, slots=True)
class Created:
    """A resource that a journey made.

    Attributes:
        values: what the placeholders stand for: ``name`` and each ``result.FIELD``.
        uri: its address.
    """

    values: Mapping[str, Any]
    uri: str


@asynccontextmanager
async def candidate(ctx: CheckContext, era: Era, transcript: Transcript) -> AsyncIterator[McpClient]:
    """An open client of the candidate on the scratch copy; its session is ended."""
    scratch = await ctx.scratch.get()
    async with (
        HttpReader(patient=True) as http,
        McpClient(scratch.candidate_mcp_url, http, era, transcript=transcript) as client,
    ):
        yield client


async def walked(
    ctx: CheckContext, walk: Callable[[McpClient], Awaitable[Any]], *needed: str
) -> list[Reading]:
    """Walk a journey on the candidate in each era; not at all if one of the ``needed`` is not declared."""
    transcript = Transcript()
    missing = undeclared(ctx, *needed)
    if missing:
        return evidence_of(transcript, {UNDECLARED: missing})
    facts: dict[str, Any] = {}
    for era in Era:
        async with candidate(ctx, era, transcript) as client:
            facts[era] = await walk(client)
    return evidence_of(transcript, facts)


def unwalked(facts: Mapping[str, Any], consequence: str) -> Ruling | None:
    """The answer when a journey was not walked: nobody knows."""
    if UNDECLARED not in facts:
        return None
    missing = facts[UNDECLARED]
    return Ruling(
        Answer.UNKNOWN,
        "journeys",
        f"journeys.{missing} is not declared, so {consequence}",
        f"declare {missing} under [journeys] in gonogo.toml",
    )


def evidence_of(transcript: Transcript, facts: object) -> list[Reading]:
    """What a journey's judge reads, and the whole conversation behind it."""
    return [
        Reading("outcome of the journey", "application/json", json.dumps(facts, indent=1).encode()),
        transcript.as_reading("conversation with the candidate"),
    ]


async def call(client: McpClient, declared: ToolCall, values: Mapping[str, Any] | None = None) -> Exchange:
    """Call a declared tool.

    Raises:
        GonogoError: journey.unfilled when a placeholder has no value; mcp errors.
    """
    arguments = {name: filled(value, values or {}) for name, value in declared.arguments.items()}
    return await client.call_tool(declared.tool, arguments)


def as_expected(exchange: Exchange, declared: ToolCall, values: Mapping[str, Any]) -> bool:
    """Whether a call succeeded with the text that is declared for it."""
    return not exchange.result.get("isError") and str(filled(declared.expect, values)) in text_of(exchange)


@asynccontextmanager
async def created(ctx: CheckContext, client: McpClient) -> AsyncIterator[Created]:
    """A fresh resource made by the declared tool; it is removed again even if the journey fails.

    Raises:
        GonogoError: journey.failed when the tool says isError or not what is declared.
    """
    journeys = ctx.settings.journeys
    assert journeys.create is not None
    values: dict[str, Any] = {"name": f"gonogo-{secrets.token_hex(6)}"}
    exchange = await call(client, journeys.create, values)
    if not as_expected(exchange, journeys.create, values):
        raise GonogoError(
            "journey.failed", f"{journeys.create.tool} answered {text_of(exchange)[:200]!r}, not as declared"
        )
    values |= _flat("result", structured(exchange))
    resource = Created(values, str(filled(journeys.resource, values)))
    try:
        yield resource
    finally:
        if journeys.remove is not None and not await _is_gone(client, resource.uri):
            await call(client, journeys.remove, values)


def undeclared(ctx: CheckContext, *names: str) -> str | None:
    """The first of the named journeys that gonogo.toml does not declare."""
    return next((name for name in names if not getattr(ctx.settings.journeys, name)), None)


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """``value`` with its placeholders replaced; a text that is only one keeps the value's type.

    Raises:
        GonogoError: journey.unfilled.
    """
    if isinstance(value, Mapping):
        return {key: filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, values) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole:
        return _value(whole[1], values)
    return _PLACEHOLDER.sub(lambda found: str(_value(found[1], values)), value)


def text_of(exchange: Exchange) -> str:
    """All text of a tool's answer or a resource, with its structured part."""
    result = exchange.result
    parts = [*_items(result.get("content")), *_items(result.get("contents"))]
    texts = [str(part.get("text", "")) for part in parts]
    if "structuredContent" in result:
        texts.append(json.dumps(result["structuredContent"], ensure_ascii=False))
    return "\n".join(texts)


def structured(exchange: Exchange) -> Any:
    """The structured part of a tool's answer; if there is none, its text read as JSON."""
    if "structuredContent" in exchange.result:
        return exchange.result["structuredContent"]
    try:
        return json.loads(text_of(exchange))
    except ValueError:
        return {}


def _value(name: str, values: Mapping[str, Any]) -> Any:
    if name not in values:
        raise GonogoError(
            "journey.unfilled",
            f"{{{name}}} has no value; the creating call gave {', '.join(sorted(values)) or 'none'}",
            hint="mend [journeys] in gonogo.toml",
        )
    return values[name]


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        name: item for key, inner in value.items() for name, item in _flat(f"{prefix}.{key}", inner).items()
    }


def _items(value: object) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


async def _is_gone(client: McpClient, uri: str) -> bool:
    try:
        await client.read_resource(uri)
    except GonogoError:
        return True
    return False
