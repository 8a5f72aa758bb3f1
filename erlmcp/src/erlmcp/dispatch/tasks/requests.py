"""The tasks extension, served: calls that become tasks, and what clients ask about them.

It stands between the transports and the kernel: what concerns no task goes through to the kernel untouched.
A guest that serves the extension itself is left alone. Runs are ``running``, their states and those of other
workers' tasks ``erlmcp.sessions.tasks``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec
from mcp.server.connection import Connection
from mcp_types import INVALID_PARAMS, SERVER_INFO_META_KEY

from erlmcp.config.schema import TaskSettings
from erlmcp.dispatch.context import CallContext
from erlmcp.dispatch.guest import Guest
from erlmcp.dispatch.kernel import Kernel
from erlmcp.dispatch.listed_tools import ListedTools
from erlmcp.dispatch.listens import CURRENT_HOLDER, LISTEN
from erlmcp.dispatch.tasks.listening import MAX_TASKS, TaskListening
from erlmcp.dispatch.tasks.modes import TaskModes
from erlmcp.dispatch.tasks.running import TaskRun
from erlmcp.protocol.faults import INTERNAL, TOO_MANY_TASKS, Fault, FaultError
from erlmcp.protocol.modern import Envelope
from erlmcp.protocol.tasks import (
    CANCEL,
    GET,
    INPUT_REQUIRED,
    METHODS,
    UNDECLARED,
    UNKNOWN_TASK,
    UPDATE,
    WORKING,
    Task,
    is_declared,
)
from erlmcp.sessions.bus import Bus
from erlmcp.sessions.sealed import KeyRing
from erlmcp.sessions.tasks.asking import Question, TaskAsking
from erlmcp.sessions.tasks.ids import TaskFacts, TaskIds, UnknownTaskError, new_name
from erlmcp.sessions.tasks.owners import has_died
from erlmcp.sessions.tasks.table import SETTLE_S, TaskTable
from erlmcp.telemetry.meter import Meter

logger = logging.getLogger(__name__)

CALL: Final = "tools/call"
Params = dict[str, Any]
_json = msgspec.json


class TaskRequests:
    """Serves the requests of one worker.

    Args:
        guest: whose tools run.
        kernel: runs them.
        listed: which tools it has.
        keys: seal the ids.
        bus: reaches the other workers.
        settings: the limits.
        meter: counts the calls that found no room.
    """

    def __init__(
        self,
        guest: Guest,
        kernel: Kernel,
        listed: ListedTools,
        keys: KeyRing,
        bus: Bus,
        settings: TaskSettings,
        meter: Meter,
    ) -> None:
        self._guest = guest
        self._kernel = kernel
        self._settings = settings
        self._meter = meter
        self._ids = TaskIds(keys)
        self._modes = TaskModes(guest, listed, time.monotonic)
        self._table = TaskTable(bus, settings, time.time)
        self._asking = TaskAsking(bus, self._table.me, self._answer)
        self._runs: dict[str, TaskRun] = {}
        self._running: Counter[str] = Counter()
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    @property
    def running(self) -> int:
        """Tasks whose handlers still run."""
        return len(self._runs)

    async def modern(
        self, context: CallContext, envelope: Envelope, method: str, params: Params | None
    ) -> Params:
        """Serve a request of the modern era. Raises whatever the handler raises."""
        if self._guest.offers_tasks:
            if method == CALL:
                return await self._call(context, envelope, params or {})
            if method in METHODS:
                return await self._act(context, envelope, method, params or {})
            if method == LISTEN and (task_ids := _task_ids_in(params)) is not None:
                return await self._listen(context, envelope, params, task_ids)
        return await self._kernel.modern(context, envelope, method, params)

    async def handshake(
        self, context: CallContext, connection: Connection, method: str, params: Params | None
    ) -> Params:
        """Serve a request of a session, in which there are no tasks: a tool that must be one is refused."""
        if method == CALL and self._guest.offers_tasks:
            list_page = partial(self._handshake_page, context, connection)
            if await self._modes.find((params or {}).get("name"), list_page) == "required":
                raise FaultError(UNDECLARED)
        return await self._kernel.handshake(context, connection, method, params)

    def close(self) -> None:
        """The worker ends: so do its tasks, and everybody is told."""
        if self._runs:
            logger.warning("tasks.cut: %d tasks had not ended when the server stopped", len(self._runs))
        for run in list(self._runs.values()):
            run.fail("the server was stopped before the task had ended", "server-stopped")
        for expiry in self._expiries.values():
            expiry.cancel()
        self._asking.close()
        self._table.close()

    async def settle(self, timeout_s: float) -> None:
        """Give handlers that were told to stop some time to clean up after themselves."""
        work = [run.work for run in self._runs.values() if not run.work.done()]
        if work:
            await asyncio.wait(work, timeout=timeout_s)

    # -- a call that may become a task --

    async def _call(self, context: CallContext, envelope: Envelope, params: Params) -> Params:
        list_page = partial(self._modern_page, context, envelope, params.get("_meta"))
        mode = await self._modes.find(params.get("name"), list_page)
        if mode == "never":
            return await self._kernel.modern(context, envelope, CALL, params)
        if not is_declared(envelope.client_capabilities):
            if mode == "required":
                raise FaultError(UNDECLARED)
            return await self._kernel.modern(context, envelope, CALL, params)
        principal = context.principal
        client = principal or context.address
        self._require_room(client)
        run = TaskRun(self._kernel, context, envelope, params)
        self._count(run, client)
        try:
            await self._first_signs_of(run)
        except BaseException:
            run.work.cancel()  # the client is gone before it was a task
            raise
        if run.work.done() and (mode == "optional" or _ends_a_round(run.work)):
            return _outcome(run.work)
        return self._stamped(self._begin(run, principal).as_created())

    def _require_room(self, client: str) -> None:
        undecided = self._running.total() - len(self._runs)
        is_full = self._table.kept + undecided >= self._settings.max_kept
        if is_full or self._running[client] >= self._settings.max_running_per_client:
            self._meter.rejected("tasks")
            raise FaultError(Fault(TOO_MANY_TASKS, "too many tasks; wait until some have ended"))

    def _count(self, run: TaskRun, client: str) -> None:
        self._running[client] += 1

        def ended(_: asyncio.Task[Params]) -> None:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]

        run.work.add_done_callback(ended)

    async def _first_signs_of(self, run: TaskRun) -> None:
        """Wait until it is known whether the call is quick, asks something, or takes its time."""
        asks = asyncio.ensure_future(run.asks.wait())
        try:
            await asyncio.wait(
                {run.work, asks},
                timeout=self._settings.begin_after_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            asks.cancel()

    def _begin(self, run: TaskRun, principal: str) -> Task:
        now_ms, settings = self._table.now_ms, self._settings
        ttl_ms, poll_ms = int(settings.ttl_s * 1000), int(settings.poll_interval_s * 1000)
        facts = TaskFacts(new_name(), self._table.me, now_ms, ttl_ms, poll_ms)
        task = _new_task(facts, self._ids.seal(facts, principal))
        self._runs[facts.name] = run
        loop = asyncio.get_running_loop()
        self._expiries[facts.name] = loop.call_later(settings.ttl_s, self._expire, facts.name)
        created = run.become(task, self._table)
        run.work.add_done_callback(lambda _: self._runs.pop(facts.name, None))
        return created

    def _expire(self, name: str) -> None:
        del self._expiries[name]
        run = self._runs.get(name)
        if run is not None:
            run.fail(f"the task took longer than {self._settings.ttl_s:g} s", "time-is-up")
        self._table.drop(name)

    # -- what clients ask about tasks --

    async def _act(self, context: CallContext, envelope: Envelope, method: str, params: Params) -> Params:
        if not is_declared(envelope.client_capabilities):
            raise FaultError(UNDECLARED)
        facts, task_id = self._opened(context, params.get("taskId"))
        payload = b""
        if method == UPDATE:
            responses = params.get("inputResponses")
            if not isinstance(responses, dict):
                raise FaultError(Fault(INVALID_PARAMS, "inputResponses must be an object"))
            payload = _json.encode(responses)
        task = await self._ask(facts, task_id, method, payload)
        result = {"resultType": "complete"}
        return self._stamped({**result, **task.as_detailed()} if method == GET else result)

    def _opened(self, context: CallContext, task_id: Any) -> tuple[TaskFacts, str]:
        if not isinstance(task_id, str):
            raise FaultError(Fault(INVALID_PARAMS, "taskId must be a string"))
        try:
            facts = self._ids.unseal(task_id, context.principal)
        except UnknownTaskError:
            raise FaultError(UNKNOWN_TASK) from None
        if facts.created_ms + facts.ttl_ms <= self._table.now_ms:
            raise FaultError(UNKNOWN_TASK)
        return facts, task_id

    async def _ask(self, facts: TaskFacts, task_id: str, method: str, payload: bytes) -> Task:
        """Let whoever runs the task do what is asked; the task as it is afterwards."""
        if facts.owner == self._table.me:
            return self._answer(Question("", facts.name, method, payload))
        copy = self._table.copy(facts.name)
        if copy is not None and copy.is_terminal:
            return copy
        if not has_died(facts.owner):
            try:
                return await self._asking.ask(facts.owner, facts.name, method, payload)
            except FaultError:
                if not has_died(facts.owner):
                    raise
        await asyncio.sleep(SETTLE_S)  # what it said before it died may still be on its way
        return self._table.lose(facts.owner, _new_task(facts, task_id))

    def _answer(self, question: Question) -> Task:
        """Do what this worker is asked about a task of its own."""
        task, run = self._table.owned(question.name), self._runs.get(question.name)
        if task is None:
            raise FaultError(UNKNOWN_TASK)
        if run is None or task.is_terminal or question.act == GET:
            return task
        if question.act == CANCEL:
            run.cancel()
        else:
            run.answer(_json.decode(question.payload))
        return self._table.owned(question.name) or task

    # -- streams --

    async def _listen(
        self, context: CallContext, envelope: Envelope, params: Params | None, task_ids: Any
    ) -> Params:
        if not is_declared(envelope.client_capabilities):
            raise FaultError(UNDECLARED)
        if not isinstance(task_ids, list) or len(task_ids) > MAX_TASKS:
            raise FaultError(Fault(INVALID_PARAMS, f"taskIds must be a list of at most {MAX_TASKS} ids"))
        tasks = []
        for each in task_ids:
            try:
                tasks.append(await self._ask(*self._opened(context, each), GET, b""))
            except FaultError:
                continue  # what cannot be followed is not in the acknowledgement
        CURRENT_HOLDER.set(None)  # what the stream says of tasks is said while the handler runs
        stream = TaskListening(context, tasks, self._table.watch)
        has_handler = self._guest.server.get_request_handler(LISTEN) is not None
        others = partial(self._kernel.modern, context, envelope, LISTEN, params)
        return await stream.serve(others if has_handler else None)

    # -- shapes --

    def _stamped(self, result: Params) -> Params:
        """With the name of the server, as the kernel would have answered."""
        return {**result, "_meta": {SERVER_INFO_META_KEY: self._guest.server.server_info_stamp}}

    async def _modern_page(
        self, context: CallContext, envelope: Envelope, meta: Any, cursor: str | None
    ) -> Params:
        return await self._kernel.modern(context, envelope, "tools/list", {"_meta": meta, **_cursor(cursor)})

    async def _handshake_page(
        self, context: CallContext, connection: Connection, cursor: str | None
    ) -> Params:
        return await self._kernel.handshake(context, connection, "tools/list", _cursor(cursor))


def _cursor(cursor: str | None) -> Params:
    return {} if cursor is None else {"cursor": cursor}


def _new_task(facts: TaskFacts, task_id: str) -> Task:
    return Task(facts.name, task_id, WORKING, facts.created_ms, facts.created_ms, facts.ttl_ms, facts.poll_ms)


def _outcome(work: asyncio.Task[Params]) -> Params:
    if work.cancelled():  # by the guest itself: nobody else has
        raise FaultError(INTERNAL)
    return work.result()


def _ends_a_round(work: asyncio.Task[Params]) -> bool:
    if work.cancelled() or work.exception() is not None:
        return False
    return work.result().get("resultType") == INPUT_REQUIRED


def _task_ids_in(params: Params | None) -> Any:
    """The tasks that a listen request names, as they came; None when it names none."""
    wanted = (params or {}).get("notifications")
    return wanted.get("taskIds") if isinstance(wanted, Mapping) else None
