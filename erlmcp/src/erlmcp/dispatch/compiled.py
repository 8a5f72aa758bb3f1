"""Tools called without the SDK's kernel, where nobody can tell but by the clock.

The kernel builds some twenty objects around each call: contexts, sessions, typed parameters, the middleware
chain, two models of the result. A tool that asks for none of it gives the same answer without them, and one
that asks for its ``Context`` needs only that. To be compiled, all of this must be proven of a tool, when it
is first called and again before each call:

1. Its server calls tools in the SDK's one way: no override, no interceptor, no middleware but the SDK's own
   (a span that nobody records; a boundary that acts on ``requestState`` only). ``sdk_private.tool_table``.
2. It wants nothing of the request but its ``Context``: no resolved parameters, no ``Mcp-Param-*`` headers,
   no task. It is the object in the server's table, with the same parts as when it was compiled.
3. The request carries nothing but a name, arguments and an envelope: the transport sees to that.

Then a call is the SDK's own steps: the same validator, the same function, the same conversion. What comes
out is written by ``compiled_answers``; a result that has no shape there goes back to the kernel, which
finishes it. Anything unknown is not compiled. The differential test is ``test_compiled_calls.py``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import anyio.to_thread
import msgspec
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp.server.mcpserver.tools.base import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import x_mcp_header_map
from mcp_types import CallToolResult
from pydantic import BaseModel, ValidationError

from erlmcp.dispatch import at_once, sdk_private
from erlmcp.dispatch.compiled_answers import Shapes, converted, encode
from erlmcp.dispatch.compiled_tools import Answer, CallNow, Handler, RequestId, Unwritten
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.on_demand import OnDemand

logger: Final = logging.getLogger("mcp.server.mcpserver.server")
"""Where the SDK writes about failed calls; an operator looks for them there."""

_EXACT_INT: Final = 2**53
_OWN_META: Final = "erlmcp/"


class CompiledTool:
    """One tool."""

    __slots__ = (
        "_arguments",
        "_context_name",
        "_function",
        "_is_async",
        "_metadata",
        "_never_waits",
        "_parts",
        "_server",
        "_text_only",
        "_validate",
        "_writes_int",
        "_writes_text",
        "tool",
    )

    def __init__(self, tool: Tool, server: Any) -> None:
        metadata = tool.fn_metadata
        self.tool = tool
        self._server = server
        self._metadata = metadata
        self._parts = _parts_of(tool)
        self._function: Callable[..., Any] = tool.fn
        self._is_async = tool.is_async
        self._context_name = tool.context_kwarg
        self._never_waits = tool.is_async and tool.context_kwarg is None and at_once.never_waits(tool.fn)
        self._arguments = metadata.arg_model
        self._validate = _validator_of(metadata)
        self._text_only = _text_only(metadata)
        self._writes_int = _wraps_only(metadata, int)
        self._writes_text = metadata.output_schema is None or metadata.output_model is None

    def is_current(self) -> bool:
        """Whether the tool still has the parts that were compiled."""
        return _parts_of(self.tool) == self._parts

    @property
    def now(self) -> CallNow | None:
        """As ``Compiled.now``."""
        return self.call_now if self._never_waits else None

    @property
    def looks_at_request(self) -> bool:
        """Whether its function has a parameter for the SDK's ``Context``."""
        return self._context_name is not None

    async def call(
        self, request_id: RequestId, arguments: dict[str, Any], shapes: Shapes, asked: OnDemand | None = None
    ) -> Answer:
        """As ``Compiled.call``."""
        try:
            keywords = self._keywords(arguments)
        except MCPError:
            raise
        except Exception as fault:  # noqa: BLE001 - a validator of the guest may raise anything
            return self._failed(request_id, self._refusal(fault), shapes)
        if self._context_name is not None:
            assert asked is not None, "looks_at_request"
            context = sdk_private.tool_context(self._server, asked.request_context, asked.params)
            keywords = {**keywords, self._context_name: context}
        try:
            if self._is_async:
                result = await self._function(**keywords)
            else:
                result = await anyio.to_thread.run_sync(partial(self._function, **keywords))
            return self._written(request_id, result, shapes)
        except (MCPError, Unwritten):
            raise
        except Exception as fault:  # noqa: BLE001 - whatever a tool raises is an answer
            return self._failed(request_id, self._tool_error(fault), shapes)

    def call_now(
        self, request_id: RequestId, arguments: dict[str, Any], shapes: Shapes, turn: at_once.Turn
    ) -> Answer:
        """``call`` for a tool that never waits."""
        try:
            keywords = self._keywords(arguments)
        except MCPError:
            raise
        except Exception as fault:  # noqa: BLE001 - as in ``call``
            return self._failed(request_id, self._refusal(fault), shapes)
        try:
            return self._written(request_id, turn.run(self._function(**keywords)), shapes)
        except (MCPError, Unwritten):
            raise
        except Exception as fault:  # noqa: BLE001 - as in ``call``
            return self._failed(request_id, self._tool_error(fault), shapes)

    def _keywords(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them. Text that may be JSON takes the SDK's long way."""
        validate = self._validate
        if validate is None:
            return self._metadata.validate_arguments(arguments)
        for name, value in arguments.items():
            if type(value) is str and name not in self._text_only:
                return self._metadata.validate_arguments(arguments)
        keywords: dict[str, Any] = validate(arguments).__dict__
        return keywords

    def _written(self, request_id: RequestId, result: Any, shapes: Shapes) -> Answer:
        if type(result) is int and self._writes_int and -_EXACT_INT < result < _EXACT_INT:
            digits = b"%d" % result
            return Answer(
                shapes.structured.of_text(request_id, b'"' + digits + b'"', b'{"result":' + digits + b"}"),
                False,
            )
        if type(result) is str and self._writes_text:
            try:
                text = encode(result)
            except UnicodeEncodeError:
                raise Unwritten(_telling(self._metadata.convert_result(result))) from None
            return Answer(shapes.plain.of_text(request_id, text, b""), False)
        typed = self._metadata.convert_result(result)
        payload = None if typed is result else _encodable(request_id, typed, shapes)
        if payload is None:
            raise Unwritten(_telling(typed))
        return Answer(payload, False)

    # -- failures, in the words of the SDK --

    def _refusal(self, fault: Exception) -> ToolError:
        """What a validator raised."""
        if not isinstance(fault, ValidationError):
            return self._crashed(fault)
        error = ToolError(f"Error executing tool {self.tool.name}: {fault}")
        error.__cause__ = fault
        return error

    def _tool_error(self, fault: Exception) -> ToolError:
        if isinstance(fault, UnexpectedToolError | UnexpectedResourceError):
            return self._crashed(fault, f": {fault}")
        if isinstance(fault, ToolError | ResourceError):
            error = ToolError(f"Error executing tool {self.tool.name}: {fault}")
            error.__cause__ = fault
            return error
        return self._crashed(fault)

    def _crashed(self, fault: Exception, text: str = "") -> ToolError:
        error = UnexpectedToolError(f"Error executing tool {self.tool.name}{text}")
        error.__cause__ = fault
        return error

    def _failed(self, request_id: RequestId, error: ToolError, shapes: Shapes) -> Answer:
        name, cause = self.tool.name, error.__cause__
        if isinstance(error, UnexpectedToolError):
            logger.error("Tool %r raised an unexpected exception", name, exc_info=error)
        elif isinstance(cause, ValidationError):
            fields = sorted({".".join(str(part) for part in item["loc"]) for item in cause.errors()})
            logger.info("Tool %r rejected arguments: %r", name, fields)
        else:
            logger.info("Tool %r failed: %r", name, str(error))
        try:
            return Answer(shapes.failed.of_text(request_id, encode(str(error)), b""), True)
        except UnicodeEncodeError:
            text = {"type": "text", "text": str(error)}
            failed = CallToolResult.model_validate({"content": [text], "isError": True})
            raise Unwritten(_telling(failed)) from None


class MCPServerTools:
    """The tools of an ``MCPServer`` that need no kernel. Of any other guest there are none."""

    def __init__(self, guest: Guest) -> None:
        self._server = guest.server
        self._origin = guest.found
        self._table = sdk_private.tool_table(guest.found)
        self._compiled: dict[str, CompiledTool | None] = {}
        self._shapes: dict[str, Shapes] = {}
        self._found_in_turn: dict[str, CompiledTool] = {}

    def find(self, name: str) -> CompiledTool | None:
        """The tool, if in this turn of the event loop it can be called without the kernel.

        Requests that were read in one turn were sent before any of them was answered, so what one of their
        tools changes need not be seen by the others.
        """
        found = self._found_in_turn.get(name)
        if found is None:
            found = self._look(name)
            if found is not None:
                if not self._found_in_turn:
                    asyncio.get_running_loop().call_soon(self._found_in_turn.clear)
                self._found_in_turn[name] = found
        return found

    def _look(self, name: str) -> CompiledTool | None:
        table = self._table
        if table is None:
            return None
        if not table.is_plain():
            table = sdk_private.tool_table(self._origin)  # something has changed: look again what it was
            if table is None:
                return None
            self._table = table
        tool = table.tools.get(name)
        if tool is None:
            return None
        found = self._compiled.get(name)
        if found is not None and found.tool is tool and found.is_current():
            return found
        return self._compile(table, name, tool)

    def shapes(self, version: str) -> Shapes:
        """How answers are written in a revision."""
        shapes = self._shapes.get(version)
        if shapes is None:
            shapes = self._shapes[version] = Shapes(self._server, version)
        return shapes

    def _compile(self, table: sdk_private.ToolTable, name: str, tool: Tool) -> CompiledTool | None:
        if not _wants_little(tool, name):
            return None
        self._compiled = {key: value for key, value in self._compiled.items() if key in table.tools}
        found = self._compiled[name] = CompiledTool(tool, self._origin)
        return found


def _telling(result: Any) -> Handler:
    async def tell(_context: Any, _params: Any) -> Any:
        return result

    return tell


def _parts_of(tool: Tool) -> tuple[Any, ...]:
    """What a call depends on, as it is now; compared by identity where it is no plain value."""
    metadata = tool.fn_metadata
    return (
        tool.fn,
        tool.is_async,
        tool.context_kwarg,
        tool.resolved_params,
        tool.meta,
        tool.name,
        id(metadata),
        metadata.arg_model,
        metadata.wrap_output,
        id(metadata.output_model),
        metadata.output_schema is None,
    )


def _wants_little(tool: Tool, name: str) -> bool:
    return (
        type(tool) is Tool
        and type(tool.fn_metadata) is FuncMetadata
        and tool.name == name
        and not tool.resolved_params
        and not any(key.startswith(_OWN_META) for key in tool.meta or ())
        and not x_mcp_header_map(tool.parameters)
    )


def _validator_of(metadata: FuncMetadata) -> Callable[[Any], BaseModel] | None:
    """The validator of the arguments, if its models are the ones that the SDK makes of a signature and the
    names of the members are the names of the parameters; None if the SDK must do it."""
    model = metadata.arg_model
    if model.__bases__ != (ArgModelBase,) or model.__pydantic_post_init__ is not None:
        return None
    if any((field.alias or name) != name for name, field in model.model_fields.items()):
        return None
    return model.__pydantic_validator__.validate_python


def _text_only(metadata: FuncMetadata) -> frozenset[str]:
    """Parameters that the SDK never takes for JSON in a string."""
    return frozenset(
        name for name, field in metadata.arg_model.model_fields.items() if field.annotation is str
    )


def _wraps_only(metadata: FuncMetadata, kind: type) -> bool:
    """Whether the result is one bare value of a kind, with nothing that could change or refuse it."""
    model = metadata.output_model
    if not metadata.wrap_output or metadata.output_schema is None or not isinstance(model, type):
        return False
    if not issubclass(model, BaseModel) or model.__bases__ != (BaseModel,) or model.model_config:
        return False
    fields = model.model_fields
    return (
        list(fields) == ["result"] and fields["result"].annotation is kind and not fields["result"].metadata
    )


def _encodable(request_id: RequestId, typed: Any, shapes: Shapes) -> bytes | None:
    try:
        return converted(request_id, typed, shapes)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        return None
