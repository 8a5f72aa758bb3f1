"""What must never count as conforming: silence, something else, and a server that lacks a fixture."""

import os
import socket
from contextlib import ExitStack

import pytest
from conformance import __main__ as program
from conformance import fixture_sdk, hosting, installing
from conformance.fixture_sdk import server as fixture
from conformance.legs import NEXT, Leg
from conformance.running import LacksFixturesError, NoServerError, probe, require_fixtures, run_leg
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

ONE_SCENARIO = ("--scenario", "tools-call-image", "--spec-version", "2026-07-28")
LEG = Leg("one", NEXT, ONE_SCENARIO, 1)


@pytest.fixture(scope="module")
def tools():
    """Node and the suite; on a machine that is no CI only where they have been installed before."""
    installed = (program.BUILD / f"suite-{NEXT}" / ".installed").is_file()
    if not installed and os.environ.get("CI") != "true":
        pytest.skip("the suite is not installed; make conformance installs it")
    return installing.install(program.BUILD)


@pytest.fixture
def dead_url():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/mcp"  # bound, and never listening


@pytest.fixture
def fixture_without():
    """Gives the fixture server with one tool taken away; it is put back afterwards."""
    with ExitStack() as undo:

        def without(name):
            fixture.remove_tool(name)
            undo.callback(fixture.add_tool, getattr(fixture_sdk, name), structured_output=False)
            return fixture

        yield without


def test_nobody_at_the_address_is_refused(dead_url):
    with pytest.raises(NoServerError, match="no MCP server answers"):
        probe(dead_url)


def test_another_kind_of_server_at_the_address_is_refused(serve):
    async def hello(request):
        return JSONResponse({"hello": "world"})

    app = Starlette(routes=[Route("/mcp", hello, methods=["POST"])])
    with serve(app) as url, pytest.raises(NoServerError, match="no MCP server answers"):
        probe(url)


def test_a_server_elsewhere_is_refused():
    with pytest.raises(NoServerError, match="on this machine"):
        probe("http://mcp.example.com/mcp")


def test_the_fixture_server_is_recognised(serve):
    with serve(fixture.streamable_http_app()) as url:
        assert probe(url) == "conformance-fixtures"


def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path):
    absent = hosting.erlmcp("conformance.nothing_here:server", workers=1, log=tmp_path / "server.log")
    with pytest.raises(hosting.StartError, match=r"guest\.not-found"), absent:
        pytest.fail("it started")


def test_a_scenario_that_the_server_serves_has_full_marks(serve, tools, tmp_path):
    with serve(fixture.streamable_http_app()) as url:
        score = run_leg(LEG, url, tools, tmp_path, ())
    assert score.full, score.faults


def bare_app():
    bare = MCPServer("bare", log_level="CRITICAL")
    bare.add_tool(lambda: "nothing", name="other")
    return bare.streamable_http_app()


def test_a_server_that_lacks_the_fixture_fails_the_scenario(serve, tools, tmp_path):
    with serve(bare_app()) as url:
        score = run_leg(LEG, url, tools, tmp_path, ())
    assert not score.full
    assert any("tools-call-image" in fault for fault in score.faults)


def test_a_server_that_lacks_one_fixture_is_not_run_at_all(serve, fixture_without):
    app = fixture_without("greet").streamable_http_app()
    with serve(app) as url, pytest.raises(LacksFixturesError, match="lacks 1 fixtures: greet"):
        require_fixtures(url)


def test_the_program_fails_for_a_server_that_lacks_fixtures(serve, tools, tmp_path, capsys):
    with serve(bare_app()) as url:
        assert program.main(["--url", url, "--leg", "2026-07-28", "--out", str(tmp_path)]) == 1
    assert "lacks" in capsys.readouterr().err


def test_a_dead_address_makes_the_program_fail(dead_url, tools, tmp_path, capsys):
    assert program.main(["--url", dead_url, "--leg", "2026-07-28", "--out", str(tmp_path)]) == 1
    assert "no MCP server answers" in capsys.readouterr().err
