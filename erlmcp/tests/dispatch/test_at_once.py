"""What runs without a task of its own, and what it sees while it runs."""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar

import pytest

from erlmcp.dispatch.at_once import Turn, never_waits

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="untouched")


async def plain(a: int) -> int:
    return a + 1


class Holder:
    async def method(self) -> None: ...


async def awaits() -> None:
    await asyncio.sleep(0)


async def iterates() -> list[int]:
    return [number async for number in generates()]


async def enters(lock: asyncio.Lock) -> None:
    async with lock:
        pass


async def generates():
    yield 1


def not_async() -> None: ...


@functools.wraps(plain)
async def wrapped(a: int) -> int:
    return await plain(a)


@pytest.mark.parametrize("function", [plain, Holder().method])
def test_a_coroutine_without_a_place_to_wait_is_found(function):
    assert never_waits(function)


MAY_WAIT = {
    "awaits": awaits,
    "iterates": iterates,
    "enters": enters,
    "generates": generates,
    "not async": not_async,
    "wrapped": wrapped,
    "partial": functools.partial(plain, 1),
    "built in": len,
    "no function": Holder(),
}


@pytest.mark.parametrize("function", MAY_WAIT.values(), ids=MAY_WAIT)
def test_whatever_may_wait_or_is_not_known_has_a_task(function):
    assert not never_waits(function)


def run(use):
    """Use a turn within a loop, outside any task, as a connection does when it reads."""

    async def main():
        loop = asyncio.get_running_loop()
        turn, done = Turn(loop), loop.create_future()

        def between_tasks():
            try:
                done.set_result(use(turn))
            except BaseException as fault:  # noqa: BLE001 - it is told to the test
                done.set_exception(fault)

        loop.call_soon(between_tasks)
        try:
            return await done
        finally:
            turn.close()

    return asyncio.run(main())


def test_it_returns_what_the_coroutine_returns_and_raises_what_it_raises():
    async def fails() -> None:
        raise KeyError("k")

    assert run(lambda turn: turn.run(plain(1))) == 2
    with pytest.raises(KeyError):
        run(lambda turn: turn.run(fails()))


def test_the_coroutine_sees_a_current_task_and_its_context_is_its_own():
    seen = []

    async def looks() -> None:
        seen.append(asyncio.current_task())
        VARIABLE.set("touched")

    def use(turn):
        turn.run(looks())
        assert asyncio.current_task() is None
        turn.run(looks())
        return VARIABLE.get()

    assert run(use) == "untouched"
    assert all(isinstance(task, asyncio.Task) for task in seen)


def test_a_task_that_was_cancelled_by_what_it_ran_stands_in_no_more():
    async def main():
        loop = asyncio.get_running_loop()
        turn = Turn(loop)

        async def cancels() -> asyncio.Task | None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            return task

        async def looks() -> asyncio.Task | None:
            return asyncio.current_task()

        def between_tasks(coroutine):
            found = loop.create_future()
            loop.call_soon(lambda: found.set_result(turn.run(coroutine)))
            return found

        first = await between_tasks(cancels())
        await asyncio.wait([first], timeout=5)
        second = await between_tasks(looks())
        assert second is not first
        assert not second.done()
        turn.close()

    asyncio.run(main())


def test_a_turn_is_not_free_within_a_task():
    async def main():
        assert not Turn(asyncio.get_running_loop()).is_free

    asyncio.run(main())
    assert run(lambda turn: turn.is_free)


def test_a_coroutine_that_waits_after_all_is_told_and_closed():
    with pytest.raises(RuntimeError, match="has waited"):
        run(lambda turn: turn.run(awaits()))
