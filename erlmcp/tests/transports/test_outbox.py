"""Answers of one turn leave together, in the order of their connections, and none is lost for another."""

from __future__ import annotations

import asyncio

from erlmcp.transports.outbox import Outbox


class Written:
    def __init__(self, name: str, heard: list[str], *, fails: bool = False) -> None:
        self._name, self._heard, self._fails = name, heard, fails

    def flush(self) -> None:
        if self._fails:
            raise RuntimeError(self._name)
        self._heard.append(self._name)


def test_nothing_is_written_before_the_turn_ends_and_then_everything_once():
    async def main() -> None:
        heard: list[str] = []
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put(Written("first", heard))
        outbox.put(Written("second", heard))
        assert heard == []
        await asyncio.sleep(0)
        assert heard == ["first", "second"]
        outbox.put(Written("third", heard))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert heard == ["first", "second", "third"]

    asyncio.run(main())


def test_a_connection_that_cannot_be_written_to_costs_the_others_nothing(caplog):
    async def main() -> None:
        heard: list[str] = []
        outbox = Outbox(asyncio.get_running_loop())
        outbox.put(Written("broken", heard, fails=True))
        outbox.put(Written("whole", heard))
        await asyncio.sleep(0)
        assert heard == ["whole"]

    asyncio.run(main())
    assert "writing an answer failed" in caplog.text
