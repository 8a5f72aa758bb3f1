"""Runs a page of the documentation as a reader would: top to bottom, in one empty folder.

Blocks that count:

* ``console``: lines that begin with ``$ `` are commands; the lines below one are what it prints, in order.
  ``…`` stands for anything. A command that ends in ``&`` goes on in the background; the reader (and this
  runner) goes on when the addresses that it names accept connections, and an ``--admin`` one says ready.
  ``# exit 1`` after a command is the exit code that the page promises.
* any block with ``file=NAME`` after its language is a file that the reader saves.

Addresses ``127.0.0.1:PORT``, and ports after ``--port``, are replaced by free ones, so that pages can be run
beside each other; also in configuration files that a command wrote.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=--port ))(\d{2,5})")
EXIT = re.compile(r"\s+# exit (\d+)$")
START_TIMEOUT_S = 60.0
COMMAND_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class File:
    name: str
    body: str


@dataclass(frozen=True)
class Command:
    line: str
    prints: tuple[str, ...]
    exit_code: int = 0

    @property
    def background(self) -> bool:
        return self.line.endswith("&")


def parse(text: str) -> list[File | Command]:
    """The files and commands of a page, in reading order."""
    found: list[File | Command] = []
    for block in BLOCK.finditer(text):
        info, body = block["info"].strip(), block["body"]
        name = re.search(r"\bfile=(\S+)", info)
        if name:
            found.append(File(name[1], body))
        elif info.split()[:1] == ["console"]:
            found.extend(_commands(body))
    return found


def _commands(body: str) -> list[Command]:
    commands: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            exit_code = EXIT.search(line)
            commands.append(Command(EXIT.sub("", line[2:]), (), int(exit_code[1]) if exit_code else 0))
        elif line.strip() and commands:
            last = commands[-1]
            commands[-1] = Command(last.line, (*last.prints, line), last.exit_code)
    return commands


def matches(expected: tuple[str, ...], printed: str) -> bool:
    """Whether every expected line is printed, in order; ``…`` stands for anything within a line."""
    lines = iter(re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines())
    for line in expected:
        pattern = re.compile(r"\s+".join(".*".join(map(re.escape, w.split("…"))) for w in line.split()))
        if line.strip() != "…" and not any(pattern.search(seen) for seen in lines):
            return False
    return True


@dataclass
class Reader:
    """Somebody who does what the page says, in ``folder``."""

    folder: Path
    _ports: dict[str, int] = field(default_factory=dict)
    _background: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def read(self, page: Path) -> None:
        """Do the whole page.

        Raises:
            AssertionError: a command ended otherwise than the page says, or did not print what it shows.
        """
        for item in parse(page.read_text(encoding="utf-8")):
            if isinstance(item, File):
                target = self.folder / item.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(self._free_addresses(item.body), encoding="utf-8")
            elif item.background:
                self._start(self._free_addresses(item.line.removesuffix("&").strip()))
            else:
                self._run(item)

    def stop(self) -> None:
        """End what the page left running."""
        for process in self._background:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(5)

    def _free_addresses(self, text: str) -> str:
        taken = set(self._ports.values())

        def free(found: re.Match[str]) -> str:
            if int(found[1]) in taken:
                return found[0]
            return str(self._ports.setdefault(found[1], _free_port()))

        return ADDRESS.sub(free, text)

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "120", "HOME": str(self.folder)}

    def _run(self, command: Command) -> None:
        line = self._free_addresses(command.line)
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        printed = done.stdout.decode(errors="replace")
        expected = tuple(self._free_addresses(text) for text in command.prints)
        assert done.returncode == command.exit_code, f"$ {line}\nexit {done.returncode}\n{printed}"
        assert matches(expected, printed), f"$ {line}\nexpected {expected}\nprinted\n{printed}"
        for written in self.folder.glob("*.toml"):
            text = written.read_text(encoding="utf-8")
            if any(address in self._ports for address in ADDRESS.findall(text)):
                written.write_text(self._free_addresses(text), encoding="utf-8")

    def _start(self, line: str) -> None:
        said = self.folder.with_name(
            f"{self.folder.name}.log"
        )  # beside the folder: a page may commit all in it
        log = said.open("ab")
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._background.append(process)
        deadline = monotonic() + START_TIMEOUT_S
        admin = re.search(r"--admin 127\.0\.0\.1:(\d+)", line)
        for port in ADDRESS.findall(line):
            answers = _is_ready if admin and admin[1] == port else _accepts
            while not answers(int(port)):
                text = said.read_text(errors="replace")
                assert process.poll() is None, f"$ {line}\nended with {process.returncode}\n{text}"
                assert monotonic() < deadline, f"$ {line}\ndid not listen on {port}\n{text}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/ready", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.05)
        return probe.connect_ex(("127.0.0.1", port)) == 0
