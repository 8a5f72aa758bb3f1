"""Which fixtures a server must offer, and which of them it lacks.

Some scenarios are content with any answer, the one for a simple text even with the error of an unknown tool.
So the lists are compared with the names here before a run counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

TOOLS: Final = frozenset({
    "test_simple_text", "test_image_content", "test_audio_content", "test_embedded_resource",
    "test_multiple_content_types", "test_tool_with_logging", "test_tool_with_progress", "test_error_handling",
    "test_sampling", "test_elicitation", "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums", "test_reconnection", "json_schema_2020_12_tool", "test_x_mcp_header",
    "test_missing_capability", "test_streaming_elicitation", "test_logging_tool", "test_trigger_tool_change",
    "test_trigger_prompt_change", "test_input_required_result_elicitation",
    "test_input_required_result_sampling", "test_input_required_result_list_roots",
    "test_input_required_result_request_state", "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round", "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities", "greet", "slow_compute", "failing_job", "protocol_error_job",
    "confirm_delete", "multi_input", "test_tool_with_task",
})  # fmt: skip
RESOURCES: Final = frozenset({"test://static-text", "test://static-binary", "test://watched-resource"})
TEMPLATES: Final = frozenset({"test://template/{id}/data"})
PROMPTS: Final = frozenset({
    "test_simple_prompt", "test_prompt_with_arguments", "test_prompt_with_embedded_resource",
    "test_prompt_with_image", "test_input_required_result_prompt",
})  # fmt: skip

_LISTS: Final = (
    ("tools/list", "tools", "name", TOOLS),
    ("resources/list", "resources", "uri", RESOURCES),
    ("resources/templates/list", "resourceTemplates", "uriTemplate", TEMPLATES),
    ("prompts/list", "prompts", "name", PROMPTS),
)


def missing(ask: Callable[[str], dict[str, Any]]) -> list[str]:
    """The fixtures that a server does not list.

    Args:
        ask: sends a request of that method and gives its result.
    """
    lacking: list[str] = []
    for method, key, name, wanted in _LISTS:
        offered = {entry[name] for entry in ask(method).get(key, ())}
        lacking += sorted(wanted - offered)
    return lacking
