"""The limit of open files: raised at the start, and never promised more than it holds."""

from __future__ import annotations

import resource

import pytest

from erlmcp.telemetry import descriptors
from erlmcp.telemetry.descriptors import RESERVED, connections_that_fit, raise_limit


def _limited(soft: int, hard: int) -> dict[str, list[str]]:
    """A shell that sets the limits of the server."""
    return {"prefix": ["sh", "-c", f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"', "sh"]}


def _told(server, event: str) -> list[dict]:
    return [line for line in server.events() if line["event"] == event]


def test_the_server_raises_its_limit_to_the_hard_one_and_its_workers_have_it(serve):
    server = serve(**_limited(400, 2_000), env={"ERLMCP_HTTP__MAX_CONNECTIONS": "1000"}).started()
    (raised,) = _told(server, "descriptors.raised")
    assert (raised["before"], raised["limit"]) == (400, 2_000)
    assert not _told(server, "descriptors.too-few")
    assert server.sample("erlmcp_process_max_fds") == 2_000
    assert server.sample("erlmcp_connections_limit") == 1_000


def test_where_the_hard_limit_is_too_low_it_is_told_and_fewer_connections_are_taken(serve, until):
    server = serve(**_limited(400, 400), env={"ERLMCP_HTTP__MAX_CONNECTIONS": "1000"}).started()
    assert not _told(server, "descriptors.raised")
    (told,) = _told(server, "descriptors.too-few")
    assert (told["limit"], told["connections"], told["max_connections"]) == (400, 200, 1_000)
    assert server.sample("erlmcp_connections_limit") == 200
    held = [server.connect() for _ in range(220)]
    for each in held:
        each.http.connect()
    until(lambda: server.sample("erlmcp_rejected_total", reason="connections") == 20)  # not failed
    assert server.sample("erlmcp_process_open_fds") < 400
    for each in held:
        each.close()
    assert server.call("who")


@pytest.mark.parametrize(
    ("limit", "wanted", "fit"),
    [
        (resource.RLIM_INFINITY, 10_000, 10_000),
        (10_000 + RESERVED, 10_000, 10_000),
        (10_000 + RESERVED - 1, 10_000, 9_999),
        (100, 10_000, 50),
    ],
)
def test_so_many_fit(monkeypatch, limit, wanted, fit):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert connections_that_fit(wanted) == fit


def test_a_limit_that_the_system_does_not_let_us_raise_is_told_and_kept(monkeypatch, caplog):
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (1_024, resource.RLIM_INFINITY))

    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(descriptors.resource, "setrlimit", refuse)
    raise_limit(10)
    assert [record.message for record in caplog.records] == ["descriptors.not-raised"]
