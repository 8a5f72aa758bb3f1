"""Durable execution of one deployment's minutes, on DBOS over SQLite in the state folder.

A deployment is one workflow, its steps are the workflow's steps: what is finished is not run again after
a crash. Nothing waits for people in here. The executor and the application version are fixed, since DBOS
finds interrupted work by both, and two live executors with one name would both run it: the caller holds
the lease (``adapters.lease``) before it comes here. What is stored is JSON, so step results must be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

APPLICATION_VERSION = "deployment-1"
_POLL_S = 0.1

Facts = dict[str, Any]
Act = Callable[[], Coroutine[Any, Any, Facts]]
RunStep = Callable[[str, Act], Awaitable[Facts]]
Body = Callable[[RunStep], Awaitable[Facts]]

# The workflow finds its body here: bodies close over live connections and cannot be stored.
_BODIES: dict[str, Body] = {}


class _JsonSerializer(Serializer):
    """Nothing but JSON goes in or comes out; the default would run code from data."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data if not isinstance(data, BaseException) else {"exception": repr(data)})

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "gonogo_json"


@DBOS.workflow(name="gonogo.deployment")
async def _deployment(workflow_id: str) -> Facts:
    body = _BODIES.get(workflow_id)
    if body is None:  # left over from a deployment that the journal already knows as ended
        return {"skipped": True}
    return await body(_run_step)


async def _run_step(name: str, act: Act) -> Facts:
    return await DBOS.run_step_async({"name": name}, act)


async def run_durably(folder: Path, environment: str, workflow_id: str, body: Body) -> Facts:
    """Run ``body`` as the workflow ``workflow_id``, or finish it if it was interrupted.

    Args:
        body: gets a function that runs one named step; a step's result must be JSON, and neither the
            body nor a step may raise anything but cancellation.
    """
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    config = DBOSConfig(
        name="gonogo",
        system_database_url=f"sqlite:///{folder / f'durable-{environment}.sqlite'}",
        executor_id=f"gonogo-{environment}",
        application_version=APPLICATION_VERSION,
        serializer=_JsonSerializer(),
        enable_otlp=False,
        log_level="CRITICAL",
        notification_listener_polling_interval_sec=_POLL_S,
    )
    _BODIES[workflow_id] = body
    DBOS(config=config)
    try:
        DBOS.launch()
        with SetWorkflowID(workflow_id):
            handle = await DBOS.start_workflow_async(_deployment, workflow_id)
        facts: Facts = await handle.get_result(polling_interval_sec=_POLL_S)
        return facts
    finally:
        _BODIES.pop(workflow_id, None)
        DBOS.destroy(workflow_completion_timeout_sec=0)
