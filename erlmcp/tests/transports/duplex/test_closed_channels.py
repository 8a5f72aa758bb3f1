"""A channel that has ended is given back at once: nothing of it waits for the garbage collector."""

import asyncio

import pytest

pytestmark = pytest.mark.anyio


async def test_a_closed_channel_leaves_nothing_to_the_garbage_collector(serve, dialect, raw, garbage):
    served = await serve()
    for number in range(raw.many_ended + 1):
        if number == 1:
            garbage()
        client = await dialect.open(served)
        await client.call(dialect.message("tools/call", 2, name="add", arguments={"a": 1, "b": 2}))
        await client.close()
        await raw.until(lambda: not served.runtime.channels and not served.runtime._service._background)
    await asyncio.sleep(0)
    assert not garbage()
