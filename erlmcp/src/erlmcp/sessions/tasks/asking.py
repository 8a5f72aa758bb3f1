"""Asking the worker that runs a task: what it knows is what is true.

A question goes over the bus to the owner alone, its answer back to whoever asked. An owner that does not
answer in time may be busy: that is not the same as dead, so the client is told to come back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

import msgspec

from erlmcp.protocol.faults import TASK_UNREACHABLE, Fault, FaultError
from erlmcp.protocol.tasks import Task
from erlmcp.sessions.bus import TASK_ASKED, TASK_TOLD, Bus, BusEvent
from erlmcp.sessions.tasks.owners import Owner

ANSWER_TIMEOUT_S: Final = 2.0
_NONCE_BYTES: Final = 16


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What an owner shall do: ``act`` is the method of the request, ``payload`` JSON that goes with it."""

    nonce: str
    name: str
    act: str
    payload: bytes = b""


class Told(msgspec.Struct, frozen=True, array_like=True):
    """The owner's answer: the task, or why not."""

    task: Task | None
    code: int = 0
    message: str = ""


Answer = Callable[[Question], Task]


class TaskAsking:
    """The open questions of one worker, and its answers to those of others.

    Args:
        bus: reaches the other workers.
        me: this worker.
        answer: does what is asked; raises FaultError when it cannot.
    """

    def __init__(self, bus: Bus, me: Owner, answer: Answer) -> None:
        self._bus = bus
        self._my_key = _key(me)
        self._answer = answer
        self._waiting: dict[str, asyncio.Future[Told]] = {}
        self._questions = msgspec.msgpack.Decoder(Question)
        self._answers = msgspec.msgpack.Decoder(Told)
        self._unsubscribe = bus.subscribe(self._hear)

    async def ask(self, owner: Owner, name: str, act: str, payload: bytes) -> Task:
        """Let the owner do something; the task as it is afterwards.

        Raises:
            FaultError: the owner's refusal, or TASK_UNREACHABLE when it does not answer in time.
        """
        nonce = os.urandom(_NONCE_BYTES).hex()
        answer = self._waiting[nonce] = asyncio.get_running_loop().create_future()
        question = msgspec.msgpack.encode(Question(nonce, name, act, payload))
        try:
            self._bus.publish(BusEvent(TASK_ASKED, _key(owner), question))
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                told: Told = await answer
        except TimeoutError:
            raise FaultError(
                Fault(TASK_UNREACHABLE, "the worker that runs the task does not answer; ask again")
            ) from None
        finally:
            self._waiting.pop(nonce, None)
        if told.task is None:
            raise FaultError(Fault(told.code, told.message))
        return told.task

    def close(self) -> None:
        """Hear no more questions."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == TASK_ASKED and event.key == self._my_key:
            question = self._questions.decode(event.data)
            try:
                told = Told(self._answer(question))
            except FaultError as refusal:
                told = Told(None, refusal.fault.code, refusal.fault.message)
            self._bus.publish(BusEvent(TASK_TOLD, question.nonce, msgspec.msgpack.encode(told)))
        elif event.kind == TASK_TOLD:
            waiting = self._waiting.get(event.key)
            if waiting is not None and not waiting.done():
                waiting.set_result(self._answers.decode(event.data))


def _key(owner: Owner) -> str:
    return f"{owner.place}:{owner.pid}:{owner.started}"
