"""One call that may become a task, from its start to its end; the channel that its handler talks through.

The handler runs through the kernel like any call. While the call is unanswered its messages go out with it.
Once it is a task they go nowhere, and what it asks the client waits in the task until ``tasks/update`` brings
the answers. A handler that ends a round with questions is called again with the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    REQUEST_TIMEOUT,
    CreateMessageResultWithTools,
    ElicitResult,
    ListRootsResult,
)
from pydantic import BaseModel, ValidationError

from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.kernel import Kernel, fault_of
from erlmcp.dispatch.tasks.offering import AS_TASK
from erlmcp.protocol.faults import INTERNAL, Fault, FaultError
from erlmcp.protocol.modern import Envelope
from erlmcp.protocol.tasks import (
    CANCELLED,
    COMPLETED,
    FAILED,
    INPUT_REQUIRED,
    WORKING,
    Task,
    error_of,
)

MAX_QUESTIONS: Final = 32
"""Questions of one task that wait for an answer at the same time."""

MAX_ROUNDS: Final = 100
"""How often a handler may end a round with questions."""

_ASKED_OF: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "elicitation/create": ("elicitation", ElicitResult),
    "sampling/createMessage": ("sampling", CreateMessageResultWithTools),
    "roots/list": ("roots", ListRootsResult),
}
"""What a client can be asked: the capability it needs, and what an answer looks like."""

_encode = msgspec.json.Encoder().encode


class Keeper(Protocol):
    """Where the states of tasks are kept."""

    @property
    def now_ms(self) -> int:
        """The time."""

    def put(self, task: Task) -> Task:
        """Keep a state; answers what is kept."""


class _Question(msgspec.Struct):
    request: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]


class TaskRun:
    """One run of a tool's handler.

    Args:
        kernel: runs the handler.
        outer: the context of the request, for as long as it is unanswered.
        envelope: what the request says about its client.
        params: its parameters.
    """

    def __init__(
        self, kernel: Kernel, outer: CallContext, envelope: Envelope, params: dict[str, Any]
    ) -> None:
        self._kernel = kernel
        self._outer: CallContext | None = outer
        self._context = outer.through(self)
        self._envelope = envelope
        self._params = params
        self._keeper: Keeper | None = None
        self._task: Task | None = None
        self._questions: dict[str, _Question] = {}
        self._used_keys: set[str] = set()
        self.asks = asyncio.Event()
        """Set when the handler has asked its first question."""
        self.work = asyncio.get_running_loop().create_task(self._serve())

    def become(self, task: Task, keeper: Keeper) -> Task:
        """From now on it is a task; the state in which the client is told of it."""
        self._keeper = keeper
        self._outer = None
        created = self._task = keeper.put(task)
        if self._questions:
            self._show_questions()
        self.work.add_done_callback(self._ended)
        return created

    # -- the channel of the handler --

    can_ask = True

    async def emit(self, message: bytes) -> None:
        """Send a message about the call while it is unanswered; a task has none."""
        if self._outer is not None:
            await self._outer.pass_on(message)

    async def ask(
        self, method: str, params: Mapping[str, Any] | None, timeout_s: float | None
    ) -> dict[str, Any]:
        """Ask the client, who hears of it when it looks at the task.

        Raises:
            MCPError: the client cannot be asked this, or the time is up.
        """
        request: dict[str, Any] = {"method": method}
        if params:
            request["params"] = dict(params)
        question = self._put_question(self._free_key("input"), request)
        key, answer = question
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise MCPError(REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        finally:
            self._take_question(key)

    # -- what clients and the server do to it --

    def answer(self, responses: dict[str, Any]) -> None:
        """Take the client's answers; keys that are not outstanding are ignored.

        Raises:
            FaultError: an answer is none to its question; then nothing is taken.
        """
        wanted = {key: value for key, value in responses.items() if key in self._questions}
        for key, value in wanted.items():
            _check_answer(key, self._questions[key].request["method"], value)
        for key, value in wanted.items():
            question = self._questions[key]
            if not question.answer.done():
                question.answer.set_result(value)
            del self._questions[key]
        if wanted:
            self._show_questions()

    def cancel(self) -> None:
        """The client does not want the task any more."""
        self._context.cancel_requested.set()
        self._move(CANCELLED)
        self.work.cancel()

    def fail(self, why: str, cause: str) -> None:
        """The server ends the task."""
        self._move(FAILED, error_of(Fault(INTERNAL_ERROR, why, {"cause": cause})), why)
        self.work.cancel()

    # -- running --

    async def _serve(self) -> dict[str, Any]:
        AS_TASK.set(True)
        params = self._params
        try:
            for _ in range(MAX_ROUNDS):
                result = await self._kernel.modern(
                    self._context, self._envelope, "tools/call", params, outbound=self._context
                )
                if self._task is None or result.get("resultType") != INPUT_REQUIRED:
                    return result
                params = {**self._params, "inputResponses": await self._next_round(result)}
                params.pop("requestState", None)
                if "requestState" in result:
                    params["requestState"] = result["requestState"]
        except (SystemExit, KeyboardInterrupt) as exc:
            raise FaultError(fault_of(exc)) from exc  # the event loop would end with it
        finally:
            self._context.close()
        raise MCPError(INTERNAL_ERROR, f"The tool asked in more than {MAX_ROUNDS} rounds")

    async def _next_round(self, result: dict[str, Any]) -> dict[str, Any]:
        """Ask what a round ended with; the answers by the keys of the handler."""
        asked = {}
        try:
            for key, request in (result.get("inputRequests") or {}).items():
                asked[key] = self._put_question(self._free_key(key), request)
            return {key: await answer for key, (_, answer) in asked.items()}
        finally:
            for shown_key, _ in asked.values():
                self._take_question(shown_key)

    def _put_question(self, key: str, request: dict[str, Any]) -> tuple[str, asyncio.Future[dict[str, Any]]]:
        self._require_askable(request["method"])
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._questions[key] = _Question(request, answer)
        self._used_keys.add(key)
        self.asks.set()
        self._show_questions()
        return key, answer

    def _take_question(self, key: str) -> None:
        if self._questions.pop(key, None) is not None:
            self._show_questions()

    def _free_key(self, wanted: str) -> str:
        """A key that was not used before in the life of the task."""
        key, number = wanted, 1
        while key in self._used_keys:
            number += 1
            key = f"{wanted}-{number}"
        return key

    def _require_askable(self, method: str) -> None:
        asked = _ASKED_OF.get(method)
        if asked is None:
            raise MCPError(METHOD_NOT_FOUND, f"A task cannot ask {method!r}")
        capabilities = self._envelope.client_capabilities
        if not isinstance(capabilities, Mapping) or capabilities.get(asked[0]) is None:
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"The client has not declared {asked[0]}",
                {"requiredCapabilities": {asked[0]: {}}},
            )
        if len(self._questions) >= MAX_QUESTIONS:
            raise MCPError(INTERNAL_ERROR, f"A task asks at most {MAX_QUESTIONS} questions at a time")

    def _show_questions(self) -> None:
        """Show the client what is outstanding, or that nothing is."""
        if self._questions:
            self._move(INPUT_REQUIRED, {key: each.request for key, each in self._questions.items()})
        else:
            self._move(WORKING)

    def _ended(self, work: asyncio.Task[dict[str, Any]]) -> None:
        if work.cancelled():
            self._move(CANCELLED)
            return
        exc = work.exception()
        if exc is None:
            self._move(COMPLETED, work.result())
            return
        fault = fault_of(exc)
        try:
            self._move(FAILED, error_of(fault), fault.message)
        except (msgspec.MsgspecError, TypeError, ValueError):
            self._move(FAILED, error_of(INTERNAL), INTERNAL.message)  # its data cannot be written as JSON

    def _move(self, status: str, detail: Any = None, message: str = "") -> None:
        if self._task is not None and self._keeper is not None and not self._task.is_terminal:
            moved = self._task.moved(status, self._keeper.now_ms, detail=detail, message=message)
            self._task = self._keeper.put(moved)


def _check_answer(key: str, method: str, value: Any) -> None:
    try:
        _ASKED_OF[method][1].model_validate(value, by_name=False)
    except ValidationError:
        raise FaultError(Fault(INVALID_PARAMS, f"inputResponses[{key!r}] is no answer to {method}")) from None
