"""Checks that read production: each passes on the real service and catches what it guards against."""

import pytest
from check_world import NOTES, Page, Tamper, World, committed, manifest_for, settings_for

from gonogo.model.finding import Answer


@pytest.fixture
def released(tmp_path):
    """A repository that keeps the manifests of notes."""
    manifests = {f"releases/{p.name}": p.read_text() for p in (NOTES / "releases").glob("*.toml")}
    return committed(tmp_path / "repo", {"src/a.py": "x = 1\n", **manifests})


@pytest.fixture
def production(ask, stack, released):
    """The answer of one check to the real production."""

    def answer(check_id, **changes):
        settings = settings_for(base_url=stack.base_url, admin_url=stack.admin_url)
        return ask(World(repo=released, settings=settings, **changes), check_id)[check_id]

    return answer


@pytest.mark.parametrize(
    "check_id",
    [
        "monitoring.health-endpoints",
        "monitoring.scrape-endpoints",
        "net.binding-restricted",
        "transport.http-binding",
        "prod.servers-healthy",
        "baseline.connections",
        "rollback.previous-version",
    ],
)
def test_the_real_production_passes(production, check_id):
    found = production(check_id)
    assert found.answer is Answer.PASS, found
    assert found.evidence


def test_one_health_answer_of_twenty_that_is_not_200_fails(production_through):
    class OneBad(Tamper):
        seen = 0

        def answer(self, method, path, status, headers, body):
            self.seen += path == "/health"
            return (503 if path == "/health" and self.seen == 13 else status), headers, body

    found = production_through("monitoring.health-endpoints", OneBad())
    assert found.answer is Answer.FAIL
    assert "19 of 20" in found.reason


def test_health_without_a_version_fails(production_through):
    found = production_through("monitoring.health-endpoints", Page("/health", lambda b: {**b, "version": ""}))
    assert found.answer is Answer.FAIL
    assert "version" in found.reason


def test_a_declared_critical_component_that_is_not_listed_fails(stack, ask, tmp_path):
    settings = settings_for(
        admin_url=stack.admin_url, service={"name": "notes", "critical_components": ["database"]}
    )
    found = ask(World(repo=tmp_path, settings=settings), "monitoring.health-endpoints")
    assert found["monitoring.health-endpoints"].answer is Answer.FAIL
    assert "database" in found["monitoring.health-endpoints"].reason


class Metrics(Tamper):
    """Changes the text of the metrics page."""

    def __init__(self, change):
        self.change, self.scrapes = change, 0

    def answer(self, method, path, status, headers, body):
        if path == "/metrics":
            self.scrapes += 1
            body = self.change(body.decode(), self.scrapes).encode()
        return status, headers, body


def _without(family):
    return lambda text, _: "\n".join(line for line in text.splitlines() if family not in line) + "\n"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text, _: text + "erlmcp_broken{a= 1\n", "does not parse"),
        (_without("erlmcp_requests"), "erlmcp_requests"),
        (_without("erlmcp_generation_info"), "erlmcp_generation_info"),
        (
            lambda text, n: text + f"# TYPE erlmcp_x_total counter\nerlmcp_x_total {10 - n}\n",
            "went back",
        ),
        (
            lambda text, _: text + "# TYPE erlmcp_y gauge\nerlmcp_y 1\nerlmcp_y 2\n",
            "same labels",
        ),
    ],
)
def test_a_metrics_page_that_cannot_be_trusted_fails(production_through, change, why):
    found = production_through("monitoring.scrape-endpoints", Metrics(change))
    assert found.answer is Answer.FAIL, found
    assert why in found.reason


def test_a_listener_on_every_address_fails(production_through):
    def public(listeners):
        return [{**entry, "address": entry["address"].replace("127.0.0.1", "0.0.0.0")} for entry in listeners]

    found = production_through("net.binding-restricted", Page("/listeners", public))
    assert found.answer is Answer.FAIL
    assert "0.0.0.0" in found.reason


def test_a_control_socket_that_others_may_open_fails(production_through):
    def open_to_all(listeners):
        return [{**entry, "mode": "0666"} if "mode" in entry else entry for entry in listeners]

    found = production_through("net.binding-restricted", Page("/listeners", open_to_all))
    assert found.answer is Answer.FAIL
    assert "0666" in found.reason


def test_no_listener_at_all_is_unknown(production_through):
    assert (
        production_through("net.binding-restricted", Page("/listeners", lambda _: [])).answer
        is Answer.UNKNOWN
    )


def test_http_bound_to_another_port_than_declared_fails(ask, stack, tmp_path):
    settings = settings_for(base_url="http://127.0.0.1:9", admin_url=stack.admin_url)
    found = ask(World(repo=tmp_path, settings=settings), "transport.http-binding")["transport.http-binding"]
    assert found.answer is Answer.FAIL
    assert "127.0.0.1:9" in found.reason


def test_a_service_that_is_not_ready_is_not_healthy(production_through):
    def drains(body):
        return {"status": "draining", "components": [{**c, "status": "draining"} for c in body["components"]]}

    found = production_through("prod.servers-healthy", Page("/ready", drains, status=503))
    assert found.answer is Answer.FAIL


def test_a_clock_that_is_far_off_fails(production_through):
    class Late(Tamper):
        def answer(self, method, path, status, headers, body):
            return status, {**headers, "date": "Mon, 01 Jan 2024 00:00:00 GMT"}, body

    found = production_through("prod.servers-healthy", Late())
    assert found.answer is Answer.FAIL
    assert "clock" in found.reason


def test_a_service_that_tells_no_time_is_unknown(production_through):
    class Timeless(Tamper):
        def answer(self, method, path, status, headers, body):
            return status, {k: v for k, v in headers.items() if k != "date"}, body

    assert production_through("prod.servers-healthy", Timeless()).answer is Answer.UNKNOWN


def test_connections_without_a_gauge_are_unknown(production_through):
    found = production_through("baseline.connections", Metrics(_without("erlmcp_connections")))
    assert found.answer is Answer.UNKNOWN


def test_another_version_serving_than_the_one_to_go_back_to_fails(production_through, released):
    found = production_through(
        "rollback.previous-version", Page("/health", lambda b: {**b, "version": "0.9.0"}), repo=released
    )
    assert found.answer is Answer.FAIL
    assert "0.9.0" in found.reason


def test_a_previous_manifest_that_was_never_committed_fails(ask, stack, tmp_path):
    repo = committed(tmp_path / "repo", {"README": "x"})
    settings = settings_for(base_url=stack.base_url, admin_url=stack.admin_url)
    found = ask(World(repo=repo, settings=settings), "rollback.previous-version")
    assert found["rollback.previous-version"].answer is Answer.FAIL
    assert "not tracked" in found["rollback.previous-version"].reason


def test_a_changed_previous_manifest_fails(ask, stack, released):
    (released / "releases/1.0.0.toml").write_text("version = '1.0.0'\n")
    settings = settings_for(base_url=stack.base_url, admin_url=stack.admin_url)
    found = ask(World(repo=released, settings=settings), "rollback.previous-version")
    assert found["rollback.previous-version"].answer is Answer.FAIL


def test_without_a_known_previous_version_there_is_no_way_back_to_judge(production):
    found = production("rollback.previous-version", previous=None)
    assert found.answer is Answer.UNKNOWN
    assert found.hint


@pytest.mark.parametrize(
    ("origins", "answer"),
    [
        ([], Answer.PASS),
        (["https://app.example.com"], Answer.PASS),
        (["http://127.0.0.1:3000"], Answer.PASS),
        (["*"], Answer.FAIL),
        (["https://*.example.com"], Answer.FAIL),
        (["app.example.com"], Answer.FAIL),
        (["http://app.example.com"], Answer.FAIL),
        (["https://app.example.com.evil.org"], Answer.FAIL),
    ],
)
def test_allowed_origins_are_exact_safe_and_ours(ask, tmp_path, origins, answer):
    world = World(
        repo=tmp_path,
        settings=settings_for(base_url="https://mcp.example.com"),
        manifest=manifest_for(config={"mcp.allowed_origins": origins}),
    )
    assert ask(world, "net.allowed-origins")["net.allowed-origins"].answer is answer
