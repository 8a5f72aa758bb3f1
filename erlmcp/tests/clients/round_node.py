"""Drives the clients written for node through the round: one process for each lane, JSON in and out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from round_scenario import ANSWERS, UNTOLD, Act

HERE = Path(__file__).parent / "npm"
INSTALLED = Path(__file__).parents[3] / "build" / "clients"
LEAST_NODE = (22, 19)
ACT_LIMIT_S = 60
ROUND_LIMIT_S = 300
"""They take milliseconds and a second, but the machine may be busy."""
_PLAIN = ("--format", "json", "--quiet", "--connect-timeout", str(ACT_LIMIT_S * 1000))
_INSPECTOR = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"


class NotInstalledError(Exception):
    """Node or the clients are not there; the sentence says what brings them."""


class Node:
    """Node and the clients, as ``scripts/node-clients.sh`` has brought them.

    Raises:
        NotInstalledError: they are not there, or are of another lock.
    """

    def __init__(self, folder: Path) -> None:
        lock = INSTALLED / "package-lock.json"
        wanted = (HERE / "package-lock.json").read_bytes()
        if not (INSTALLED / ".installed").is_file() or lock.read_bytes() != wanted:
            raise NotInstalledError(
                "the clients for node are not installed; sh scripts/node-clients.sh does it"
            )
        self.program = _node()
        self._folder = folder
        (folder / "node_modules").symlink_to(INSTALLED / "node_modules")
        for source in HERE.glob("*.mjs"):
            (folder / source.name).write_bytes(source.read_bytes())

    def play(
        self, client: str, transport: str, era: str, url: str, command: list[str], acts: Iterable[Act]
    ) -> tuple[dict[str, Any], list[tuple[str, int, str, bool]]]:
        """Do the round; what was seen by the name of the act, and the HTTP requests that were sent."""
        asked = {
            "client": client,
            "transport": transport,
            "era": era,
            "url": url,
            "command": command,
            "limit_s": ACT_LIMIT_S,
            "answers": ANSWERS,
            "acts": [{"name": act.name, "kind": act.kind, "arguments": act.arguments} for act in acts],
        }
        ran = self._run([str(self._folder / "drive.mjs")], json.dumps(asked))
        assert ran.returncode == 0, ran.stderr
        answer = json.loads(ran.stdout)
        return answer["seen"], [tuple(request) for request in answer["wire"]]

    def inspect(self, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """One command of the inspector: its result, and its error; one of them may be empty."""
        ran = self._run([str(INSTALLED / _INSPECTOR), "--cli", *_PLAIN, *arguments])
        return _last_object(ran.stdout), _last_object(ran.stderr)

    def _run(self, arguments: list[str], standard_input: str = "") -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "HOME": str(self._folder)}  # the inspector writes there
        command = [str(self.program), *arguments]
        return subprocess.run(
            command,
            check=False,
            input=standard_input,
            env=env,
            capture_output=True,
            text=True,
            timeout=ROUND_LIMIT_S,
        )


def _last_object(text: str) -> dict[str, Any]:
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _node() -> Path:
    """The node that npm has brought, else the machine's."""
    brought = list(INSTALLED.glob("node_modules/node-*/bin/node"))
    if brought:
        return brought[0]
    found = shutil.which("node")
    if found is not None:
        ask = [found, "--version"]
        told = subprocess.run(ask, check=False, capture_output=True, text=True, timeout=30).stdout
        version = re.match(r"v(\d+)\.(\d+)", told)
        if version is not None and (int(version[1]), int(version[2])) >= LEAST_NODE:
            return Path(found)
    raise NotInstalledError(f"node {'.'.join(map(str, LEAST_NODE))} or newer is not installed")


class Inspector:
    """The inspector's command line as a driver: each act is one command."""

    def __init__(self, node: Node, transport: str, era: str, url: str, command: list[str]) -> None:
        self._node = node
        self._to = ["--protocol-era", "legacy" if era == "handshake" else "modern"]
        if transport == "stdio":
            self._target = ["--", *command]
        else:
            self._to += ["--transport", transport, "--server-url", url]
            self._target = []
        self.era = era

    def do(self, act: Act) -> Any:
        """What was seen."""
        return getattr(self, act.kind)(**act.arguments)

    def _ask(self, method: str, *arguments: str) -> dict[str, Any]:
        """The result; an error answer is seen without its code, which the inspector does not show."""
        result, error = self._node.inspect(*arguments, *self._to, "--method", method, *self._target)
        if "result" not in result:
            assert error["error"]["code"] == "error", error
            return {"refused": UNTOLD}
        return result["result"]

    def connect(self) -> Any:
        found = self._ask("initialize")
        info = found["serverInfo"]
        era = "modern" if found["protocolVersion"] == "2026-07-28" else "handshake"
        return {
            "server": f"{info['name']} {info['version']}",
            "instructions": found["instructions"],
            "era": era,
        }

    def list_tools(self) -> Any:
        tools = self._ask("tools/list")["tools"]
        structured = sorted(tool["name"] for tool in tools if "outputSchema" in tool)
        return {"names": sorted(tool["name"] for tool in tools), "structured": structured}

    def call(self, tool: str, arguments: dict[str, Any]) -> Any:
        found = self._ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        if "content" not in found:
            return found
        text = next((block["text"] for block in found["content"] if block["type"] == "text"), None)
        return {
            "text": text,
            "structured": found.get("structuredContent"),
            "error": bool(found.get("isError")),
            "kinds": [block["type"] for block in found["content"]],
        }

    def list_resources(self) -> Any:
        return sorted(each["uri"] for each in self._ask("resources/list")["resources"])

    def list_templates(self) -> Any:
        return sorted(
            each["uriTemplate"] for each in self._ask("resources/templates/list")["resourceTemplates"]
        )

    def read(self, uri: str) -> Any:
        found = self._ask("resources/read", "--uri", uri)
        if "contents" not in found:
            return found
        (contents,) = found["contents"]
        return [contents["mimeType"], contents.get("text", contents.get("blob"))]

    def list_prompts(self) -> Any:
        prompts = self._ask("prompts/list")["prompts"]
        return [[each["name"], [argument["name"] for argument in each["arguments"]]] for each in prompts]

    def get_prompt(self, name: str, arguments: dict[str, str]) -> Any:
        pairs = [f"{key}={value}" for key, value in arguments.items()]
        given = ["--prompt-args", *pairs] if pairs else []
        found = self._ask("prompts/get", *given, "--prompt-name", name)
        if "messages" not in found:
            return found
        return [[message["role"], message["content"]["text"]] for message in found["messages"]]
