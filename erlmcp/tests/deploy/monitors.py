"""A real Prometheus and a real Alertmanager on ports of their own, and who hears what they deliver."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml


def free_port() -> int:
    """A port that was free a moment ago; these programs do not tell which one they chose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Monitor:
    """One of the two programs, in the folder in which its configuration stands."""

    program = ""
    package = ""

    def __init__(self, program: str, folder: Path, *arguments: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._said = (folder / "log").open("wb")
        command = [program, f"--web.listen-address={self.address}", *arguments]
        self.process = subprocess.Popen(command, cwd=folder, stdout=self._said, stderr=self._said)

    def get(self, path: str) -> Any:
        """The JSON answer, or None while it does not answer with one."""
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
            return json.loads(text) if answer.status == 200 else None
        except (OSError, ValueError):
            return None
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Whether it says so itself."""
        assert self.process.poll() is None, Path(self._said.name).read_text()
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self._said.close()


class Alertmanager(Monitor):
    """One that knows no others."""

    program = package = "prometheus-alertmanager"

    def __init__(self, program: str, folder: Path, config: dict[str, Any]) -> None:
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        super().__init__(
            program,
            folder,
            "--config.file=config.yml",
            "--cluster.listen-address=",
            f"--storage.path={folder}",
        )


class Prometheus(Monitor):
    """With one scrape job of one target, looked at every second.

    Args:
        target: HOST:PORT of an admin listener.
        rules: what stands in its rule file.
        alertmanager: HOST:PORT of who is told.
    """

    program = package = "prometheus"

    def __init__(
        self,
        program: str,
        folder: Path,
        target: str,
        rules: dict[str, Any] | None = None,
        alertmanager: str = "",
    ) -> None:
        tells = [{"static_configs": [{"targets": [alertmanager]}]}] if alertmanager else []
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "alerting": {"alertmanagers": tells},
            "scrape_configs": [{"job_name": "erlmcp", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        (folder / "rules.yml").write_text(yaml.safe_dump(rules or {"groups": []}))
        super().__init__(
            program,
            folder,
            "--config.file=config.yml",
            f"--storage.tsdb.path={folder / 'data'}",
            "--rules.alert.resend-delay=1s",  # what fired before it knew the Alertmanager comes later
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query.

        Raises:
            AssertionError: it is refused.
        """
        answer = self.get(f"/api/v1/query?query={quote(expression, safe='')}")
        assert answer is not None, expression
        return answer["data"]["result"]

    def alert_states(self, alert: str) -> set[str]:
        """Pending, firing, or nothing."""
        answer = self.get("/api/v1/alerts") or {"data": {"alerts": []}}
        found = answer["data"]["alerts"]
        return {each["state"] for each in found if each["labels"]["alertname"] == alert}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health."""
        answer = self.get("/api/v1/rules") or {"data": {"groups": []}}
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]


def hurried(rules_file: Path, for_s: int) -> dict[str, Any]:
    """The rules with no duration longer than this."""
    document = yaml.safe_load(rules_file.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["for"] = rule["for"] if rule["for"] == "0m" else f"{for_s}s"
    return document


def delivering_to(config_file: Path, url: str) -> dict[str, Any]:
    """The routes of an Alertmanager without their pauses; each receiver is a path below ``url``."""
    document = yaml.safe_load(config_file.read_text())
    for route in [document["route"], *document["route"]["routes"]]:
        route.update(group_wait="0s", group_interval="1s")
    for receiver in document["receivers"]:
        resolved = receiver["name"] != "heartbeat"
        hook = {"url": f"{url}/{receiver['name']}", "send_resolved": resolved}
        document["receivers"][document["receivers"].index(receiver)] = {
            "name": receiver["name"],
            "webhook_configs": [hook],
        }
    return document


class Hearing:
    """A web server that takes what an Alertmanager delivers.

    Attributes:
        heard: receiver, alert and status of each delivery, in order.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    heard.append((self.path.strip("/"), alert["labels"]["alertname"], alert["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quietly."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hear no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
