"""The admin listener and the control socket keep the contract in ``contracts/``, asked for real."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from erlmcp.admin.pages import control_app

CONTRACT = Path(__file__).parents[3] / "contracts" / "erlmcp-admin.yaml"
PAGES = [
    "/health",
    "/ready",
    "/metrics",
    "/config",
    "/listeners",
    "/generations",
    "/faults",
    "/dashboard",
    "/dashboard/dashboard.css",
    "/dashboard/dashboard.js",
    "/dashboard/icon.svg",
]


@pytest.fixture(scope="module")
def contract():
    return yaml.safe_load(CONTRACT.read_text())


def _check(contract, answer, method, path):
    """The answer is one that the contract names, in the shape that it says."""
    responses = contract["paths"][path][method]["responses"]
    assert str(answer.status) in responses, (path, answer.status, answer.body)
    response = responses[str(answer.status)]
    if "$ref" in response:
        response = contract["components"]["responses"][response["$ref"].rpartition("/")[2]]
    (media, content), *_ = response["content"].items()
    assert answer.headers["content-type"].split(";")[0] == media
    if media == "application/json":
        schema = {**content["schema"], "components": contract["components"]}
        Draft202012Validator(schema).validate(answer.json)
    return answer


def test_the_contract_is_openapi(contract):
    validate(contract)


def test_the_contract_and_the_application_have_the_same_routes(contract, server):
    routes = {
        (route.path, method.lower())
        for route in control_app(server).routes
        for method in route.methods - {"HEAD"}
    }
    promised = {(p, m) for p, item in contract["paths"].items() for m in item if m != "parameters"}
    assert routes == promised


@pytest.mark.parametrize("path", PAGES)
def test_every_page_keeps_the_contract_on_both_listeners(contract, server, path):
    _check(contract, server.read(path), "get", path)
    _check(contract, server.act("GET", path), "get", path)


def test_every_act_and_its_faults_keep_the_contract(contract, server):
    one, acts = "/generations/{id}", "/generations/{id}/"
    _check(contract, server.stage("contract", env={"GUEST_BROKEN": "x"}), "put", one)
    assert _check(contract, server.stage("contract"), "put", one).status == 201
    assert _check(contract, server.stage("contract"), "put", one).status == 200
    assert _check(contract, server.stage("contract", version="9"), "put", one).status == 409
    assert _check(contract, server.stage("contract", workers=0), "put", one).status == 400
    assert _check(contract, server.activate("contract"), "post", acts + "activate").status == 200
    assert _check(contract, server.retire("contract"), "delete", one).status == 409
    assert _check(contract, server.activate("g1"), "post", acts + "activate").json["previous"] == "contract"
    drained = server.act("POST", "/generations/contract/drain")
    assert _check(contract, drained, "post", acts + "drain").json["state"] in {"draining", "warm"}
    assert _check(contract, server.retire("contract"), "delete", one).json["state"] == "gone"
    assert _check(contract, server.activate("contract"), "post", acts + "activate").status == 409
    assert _check(contract, server.retire("nobody"), "delete", one).status == 404
    assert (
        _check(contract, server.act("PUT", "/log-level", {"level": "info"}), "put", "/log-level").status
        == 200
    )
    assert _check(contract, server.act("PUT", "/log-level", []), "put", "/log-level").status == 400


def test_injected_faults_keep_the_contract(contract, serve, server):
    path = "/faults/{id}"
    refused = _check(contract, server.act("PUT", "/faults/errors"), "put", path)
    assert (refused.status, refused.json["error"]["id"]) == (403, "faults.production")
    other = serve(env={"ERLMCP_ENVIRONMENT": "staging"}).started()
    assert _check(contract, other.act("PUT", "/faults/errors", {"share": 0.5}), "put", path).status == 200
    assert _check(contract, other.act("PUT", "/faults/errors", {"share": 2}), "put", path).status == 400
    assert _check(contract, other.act("PUT", "/faults/fire"), "put", path).status == 404
    assert len(_check(contract, other.read("/faults"), "get", "/faults").json) == 1
    assert _check(contract, other.read("/ready"), "get", "/ready").status == 200
    assert _check(contract, other.act("DELETE", "/faults/errors"), "delete", path).status == 200
    assert _check(contract, other.act("DELETE", "/faults/fire"), "delete", path).status == 404


def test_changed_keys_keep_the_contract(contract, serve, server, tmp_path):
    path = "/session-keys/change"
    assert _check(contract, server.act("POST", path), "post", path).status == 409
    file = tmp_path / "keys"
    file.write_text("ab" * 32)
    file.chmod(0o600)
    other = serve(env={"ERLMCP_SESSION_KEYS_FILE": str(file)}).started()
    assert _check(contract, other.act("POST", path), "post", path).status == 200


def test_the_validator_does_refuse_an_answer_that_breaks_the_contract(contract, server):
    answer = server.read("/health")
    answer.body = answer.body.replace(b'"alive"', b'"dead"')
    with pytest.raises(Exception, match="was expected"):
        _check(contract, answer, "get", "/health")
