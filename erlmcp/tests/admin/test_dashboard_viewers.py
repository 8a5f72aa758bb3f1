"""Who is told the changes of the dashboard: as they come, only so many, and nobody who does not listen."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

QUICK = {"ERLMCP_DASHBOARD__INTERVAL_S": "0.2"}


class Viewer:
    """A browser, as far as events go."""

    def __init__(self, server):
        parts = urlsplit(server.admin)
        self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        self.http.request("GET", "/dashboard/events")
        self.response = self.http.getresponse()
        self.status = self.response.status

    def event(self):
        """The parts of the next event; None at the end."""
        while line := self.response.readline():
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))
        return None

    def close(self):
        self.response.close()
        self.http.close()


@pytest.fixture
def view():
    with contextlib.ExitStack() as open_ones:

        def start(server):
            viewer = Viewer(server)
            open_ones.callback(viewer.close)
            return viewer

        yield start


def test_the_first_event_has_every_part_and_the_next_only_what_changed(serve, view):
    server = serve(env=QUICK).started()
    viewer = view(server)
    assert viewer.response.headers["content-type"].startswith("text/event-stream")
    assert "content-security-policy" in viewer.response.headers
    first = viewer.event()
    assert {"state", "numbers", "tools", "alerts", "clock"} <= first.keys()
    server.call("who")
    seen = []
    while not any("who" in each.get("tools", "") for each in seen):
        assert len(seen) < 100
        seen.append(viewer.event())
    assert not any("components" in each for each in seen)


def test_one_more_than_may_is_refused_until_one_goes(serve, view, until):
    server = serve(env={**QUICK, "ERLMCP_DASHBOARD__MAX_VIEWERS": "2"}).started()
    first, second = view(server), view(server)
    assert first.event()
    assert second.event()
    answer = server.read("/dashboard/events")
    assert (answer.status, answer.json["error"]["id"]) == (503, "dashboard.too-many-viewers")
    assert server.read("/dashboard").status == 200
    first.close()
    until(lambda: view(server).status == 200)


def test_a_head_request_is_no_viewer(serve, view):
    server = serve(env={**QUICK, "ERLMCP_DASHBOARD__MAX_VIEWERS": "1"}).started()
    assert server.read("/dashboard/events", "HEAD").status == 200
    assert view(server).event()


def test_a_viewer_that_takes_nothing_is_cut_off_and_one_that_reads_is_not(serve, view, until):
    env = {**QUICK, "ERLMCP_DASHBOARD__MAX_VIEWERS": "2", "ERLMCP_DASHBOARD__CUT_AFTER_S": "0.5"}
    server = serve(env=env).started()
    parts = urlsplit(server.admin)
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        silent.connect((parts.hostname, parts.port))
        silent.sendall(b"GET /dashboard/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = view(server)
        assert reader.event()
        until(lambda: not _has_place(server))
        # Its place is free again only because it was cut off: it has neither read nor closed.
        until(lambda: reader.event() and _has_place(server), 90.0)
        assert reader.event()


def _has_place(server):
    viewer = Viewer(server)
    viewer.close()
    return viewer.status == 200


def test_viewers_do_not_keep_a_server_from_stopping(serve, view):
    server = serve(env=QUICK).started()
    viewer = view(server)
    assert viewer.event()
    assert server.stop() == 0
    while viewer.event() is not None:
        pass
