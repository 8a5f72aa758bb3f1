"""What the fixtures ask their clients, in both eras, and how they read the answers.

In the handshake era a question is a request of its own; in the modern era it is an entry of an
``input_required`` result and the client calls again. The wording is the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

Schema = dict[str, Any]


def form(**properties: Schema) -> Schema:
    """A flat schema in which every property is required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}

ANSWER_FORM: Final = form(response={"type": "string", "description": "The user's answer"})

CONFIRM_FORM: Final = form(confirm=FLAG)

DEFAULTS_FORM: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}

_NUMBERED: Final = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]

ENUMS_FORM: Final[Schema] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _NUMBERED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": _NUMBERED}},
    },
}


def elicitation(message: str, schema: Schema) -> ElicitRequest:
    """Ask the user to fill in a form."""
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str) -> CreateMessageRequest:
    """Ask the client's model."""
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[user_says(prompt)], max_tokens=100)
    )


def user_says(text: str) -> SamplingMessage:
    """One message to a model."""
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


NAME_QUESTION: Final = elicitation("What is your name?", form(name=TEXT))
STEP_1: Final = elicitation("Step 1: what is your name?", form(name=TEXT))
STEP_2: Final = elicitation("Step 2: what is your favourite colour?", form(color=TEXT))
CONFIRMATION: Final = elicitation("Shall it go on?", form(ok=FLAG))
CONTEXT_QUESTION: Final = elicitation("What is the context?", form(context=TEXT))
CAPITAL_QUESTION: Final = sampling("What is the capital of France?")
GREETING_QUESTION: Final = sampling("Write a short greeting.")
ROOTS_QUESTION: Final = ListRootsRequest()


def ask(state: str | None = None, /, **questions: InputRequest) -> InputRequiredResult:
    """End this round: the client answers the questions and calls again."""
    return InputRequiredResult(input_requests=questions or None, request_state=state)


def filled_in(answers: Mapping[str, Any] | None, key: str, field: str) -> Any:
    """One field of a form that the user has accepted; None when the answer is missing or of no use."""
    answer = (answers or {}).get(key)
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return None
    return (answer.content or {}).get(field)


def name_in(answers: Mapping[str, Any] | None, key: str = "user_name", field: str = "name") -> str | None:
    """A text that the user has entered; None when there is none."""
    value = filled_in(answers, key, field)
    return value if isinstance(value, str) and value else None


def sampled_text(answers: Mapping[str, Any] | None, key: str) -> str | None:
    """What the client's model said; None when it said no text."""
    answer = (answers or {}).get(key)
    return text_of(answer) if isinstance(answer, CreateMessageResult) else None


def text_of(result: Any) -> str | None:
    """The text of a sampling result."""
    content = result.content
    return content.text if isinstance(content, TextContent) else None


def roots_in(answers: Mapping[str, Any] | None, key: str) -> list[str] | None:
    """The client's roots; None when it has not told."""
    answer = (answers or {}).get(key)
    return [str(root.uri) for root in answer.roots] if isinstance(answer, ListRootsResult) else None
