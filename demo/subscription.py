"""One subscription that stays open for the whole demo, on a note that the client itself keeps changing.

Each change has a number. It is *covered* once a reading of the note holds it, and the note is read for two
reasons only: a change notification came, or the stream had ended and a new one was acknowledged. Changes are
made one at a time, and the next waits until the last is covered; one that is not covered in time is lost. So
a notification that is dropped cannot hide behind a later one.

A stream must end the way the protocol asks: with the final result of the listen request. One that just ends
is counted as cut.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from demo.calls import Call, expect, modern_request, text_of, tool
from demo.client import MCP_PATH, Caller, parse
from demo.tally import Tally
from demo.wire import Connection, WireError, events

_META_ID = "io.modelcontextprotocol/subscriptionId"
_CHANGE = re.compile(r"^change (\d+)$", re.MULTILINE)
_RELISTEN_PAUSE_S = 0.05


class Subscription:
    """The listener and the one who makes changes."""

    def __init__(
        self,
        host: str,
        port: int,
        tally: Tally,
        *,
        change_every_s: float = 0.25,
        cover_timeout_s: float = 5.0,
    ) -> None:
        self._host = host
        self._port = port
        self._tally = tally
        self._change_every_s = change_every_s
        self._cover_timeout_s = cover_timeout_s
        self._writer = Caller(host, port, tally)
        self._fetcher = Caller(host, port, tally)
        self._covered: set[int] = set()
        self._news = asyncio.Condition()
        self._listening = asyncio.Event()
        self._stopping = asyncio.Event()
        self._uri = ""
        self._listen: asyncio.Task[None] | None = None
        self._change: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the note, open the first stream and begin to change the note.

        Raises:
            RuntimeError: no note can be made, or no stream was acknowledged in time.
        """
        made = await self._writer.ask(tool("create_note", expect({"revision": 1}), title="The watched note"))
        if made is None:
            raise RuntimeError(f"no note to watch: {self._tally.failures[-1].reason}")
        note_id = made["structuredContent"]["id"]
        self._uri = f"note://{note_id}"
        self._listen = asyncio.create_task(self._keep_listening())
        try:
            async with asyncio.timeout(self._cover_timeout_s):
                await self._listening.wait()
        except TimeoutError:
            await self.stop()
            raise RuntimeError(f"no subscription was acknowledged: {self._tally.streams_cut}") from None
        self._change = asyncio.create_task(self._keep_changing(note_id))

    async def stop(self) -> None:
        """Finish the change at hand, wait for its cover, and close the stream."""
        self._stopping.set()
        if self._change is not None:
            await self._change
        if self._listen is not None:
            self._listen.cancel()
            with suppress(asyncio.CancelledError):
                await self._listen
        self._writer.leave()
        self._fetcher.leave()

    async def _keep_changing(self, note_id: str) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            text = f"change {number}"
            done = await self._writer.ask(
                tool("append_to_note", expect({"id": note_id}), note_id=note_id, text=text)
            )
            if done is not None:
                self._tally.changes_made += 1
                await self._wait_for_cover(number)
            try:
                async with asyncio.timeout(self._change_every_s):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _wait_for_cover(self, number: int) -> None:
        try:
            async with asyncio.timeout(self._cover_timeout_s), self._news:
                await self._news.wait_for(lambda: number in self._covered)
        except TimeoutError:
            self._tally.changes_lost.append(number)

    async def _keep_listening(self) -> None:
        while not self._stopping.is_set():
            self._tally.streams_opened += 1
            try:
                await self._listen_once(f"listen-{self._tally.streams_opened}")
                self._tally.streams_ended += 1
            except WireError as fault:
                self._tally.streams_cut.append(f"{fault.kind}: {fault}")
                await asyncio.sleep(_RELISTEN_PAUSE_S)  # a service that refuses at once must not be hammered

    async def _listen_once(self, listen_id: str) -> None:
        """Hold one stream until its final result.

        Raises:
            WireError: it ended in any other way.
        """
        call = Call(
            "listen", "subscriptions/listen", {"notifications": {"resourceSubscriptions": [self._uri]}}
        )
        headers, body = modern_request(call, listen_id)
        connection = await Connection.open(self._host, self._port)
        self._tally.connections += 1
        try:
            head = await connection.send("POST", MCP_PATH, headers, body)
            if head.status != 200 or not head.streams:
                raise WireError("status", f"HTTP {head.status} {await connection.body(head)!r}")
            acknowledged = ended = False
            async for data in events(connection.chunks(head)):
                message = parse(data)
                if ended:
                    raise WireError("framing", f"a message after the final result: {data[:120]}")
                ended = self._is_final(message, listen_id)
                if not ended and not acknowledged:
                    self._check_acknowledged(message, listen_id)
                    acknowledged = True
                    await self._fetch()
                    self._listening.set()
                elif not ended:
                    self._check_update(message, listen_id)
                    self._tally.notifications += 1
                    await self._fetch()
            if not ended:
                raise WireError("cut", "the stream ended without its final result")
        finally:
            connection.close()

    async def _fetch(self) -> None:
        result = await self._fetcher.ask(Call("read watched note", "resources/read", {"uri": self._uri}))
        if result is None:
            return
        async with self._news:
            self._covered.update(int(number) for number in _CHANGE.findall(text_of(result)))
            self._news.notify_all()

    @staticmethod
    def _is_final(message: Mapping[str, Any], listen_id: str) -> bool:
        if message.get("id") != listen_id:
            return False
        result = message.get("result")
        if not isinstance(result, dict) or result.get("resultType") != "complete":
            raise WireError("rpc-error", f"the stream ended with {json.dumps(message)[:200]}")
        return True

    def _check_acknowledged(self, message: Mapping[str, Any], listen_id: str) -> None:
        params = message.get("params") or {}
        honoured = (params.get("notifications") or {}).get("resourceSubscriptions")
        if message.get("method") != "notifications/subscriptions/acknowledged" or honoured != [self._uri]:
            raise WireError("wrong-answer", f"expected the acknowledgement, got {json.dumps(message)[:200]}")
        self._check_stamp(params, listen_id)

    def _check_update(self, message: Mapping[str, Any], listen_id: str) -> None:
        params = message.get("params") or {}
        if message.get("method") != "notifications/resources/updated" or params.get("uri") != self._uri:
            raise WireError("wrong-answer", f"not subscribed to, got {json.dumps(message)[:200]}")
        self._check_stamp(params, listen_id)

    @staticmethod
    def _check_stamp(params: Mapping[str, Any], listen_id: str) -> None:
        stamp = (params.get("_meta") or {}).get(_META_ID)
        if stamp != listen_id:
            raise WireError("wrong-answer", f"stamped for {stamp!r}; expected {listen_id!r}")
