"""Changes an erlmcp server over its control socket: stage, activate, drain, retire a generation.

Whoever can open the socket can run code on that machine, so it is a Unix socket of mode 0600 and nothing
here ever speaks to another kind. Every answer is bounded; nothing is retried. Reading the service from
outside is ``adapters.erlmcp_admin``; what to do when is ``deploy``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gonogo.adapters.http import HttpAnswer, HttpError, HttpReader
from gonogo.model.errors import GonogoError

READ_TIMEOUT_S = 5.0
ACT_TIMEOUT_S = 60.0
MAX_BODY_BYTES = 1024 * 1024
_ORIGIN = "http://control"


class ControlError(GonogoError):
    """The control socket cannot be used, or the server refused.

    Attributes:
        refusal: the server's own error id, or empty if it did not answer.
    """

    def __init__(
        self,
        error_id: str,
        message: str,
        *,
        hint: str | None = None,
        note: str | None = None,
        refusal: str = "",
    ) -> None:
        super().__init__(error_id, message, hint=hint, note=note, exit_code=1)
        self.refusal = refusal


class ErlmcpControl:
    """One control socket.

    Args:
        path: of the Unix socket.
        act_timeout_s: longest time for a change, starting workers included, seconds.
    """

    def __init__(self, path: str, *, act_timeout_s: float = ACT_TIMEOUT_S) -> None:
        self.path = path
        self._act_timeout_s = act_timeout_s
        self._http = HttpReader(timeout_s=READ_TIMEOUT_S, max_body_bytes=MAX_BODY_BYTES, socket_path=path)

    async def generations(self) -> list[Mapping[str, Any]]:
        """Every generation the server knows.

        Raises:
            ControlError: control.unreachable, control.bad-answer or control.refused.
        """
        found = (await self._send("GET", "/generations", None, READ_TIMEOUT_S)).json()
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ControlError("control.bad-answer", "GET /generations: expected a list of objects")
        return found

    async def stage(self, generation: str, spec: Mapping[str, Any]) -> None:
        """Start a generation beside the active one; the same id and spec again changes nothing."""
        await self._send("PUT", _path(generation), spec, self._act_timeout_s)

    async def activate(self, generation: str) -> None:
        """Make it accept and the active one drain; returns when both have confirmed."""
        await self._send("POST", _path(generation) + "/activate", {}, self._act_timeout_s)

    async def drain(self, generation: str) -> None:
        """Let it finish what it has."""
        await self._send("POST", _path(generation) + "/drain", {}, self._act_timeout_s)

    async def retire(self, generation: str) -> None:
        """End its workers; one that is gone already is fine."""
        await self._send("DELETE", _path(generation), None, self._act_timeout_s)

    async def close(self) -> None:
        """Close the connection."""
        await self._http.close()

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float
    ) -> HttpAnswer:
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if content is not None else {}
        try:
            answer = await self._http.request(
                method, _ORIGIN + path, headers=headers, content=content, timeout_s=timeout_s
            )
        except HttpError as error:
            raise ControlError(
                "control.unreachable",
                f"control socket {self.path}: {method} {path} got no answer, {error.message}",
                hint=f"start the service with --control {self.path}, as the user who deploys",
            ) from error
        if answer.status >= 300:
            raise _refused(method, path, answer)
        return answer


def _path(generation: str) -> str:
    return f"/generations/{quote(generation, safe='')}"


def _refused(method: str, path: str, answer: HttpAnswer) -> ControlError:
    """The server's error in our words, with the end of the log of a generation that did not start."""
    try:
        body = answer.json()
    except HttpError:
        body = {}
    error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    tail = error.get("log_tail") or (body.get("log_tail") if isinstance(body, dict) else None) or []
    lines = [str(line)[:500] for line in tail][-20:] if isinstance(tail, list) else []
    message = str(error.get("message") or "no reason given")[:500]
    return ControlError(
        "control.refused",
        f"{method} {path}: refused with {answer.status}, {message}",
        hint=str(error["hint"])[:500] if error.get("hint") else None,
        note="\n".join(lines) or None,
        refusal=str(error.get("id") or f"http.{answer.status}"),
    )
