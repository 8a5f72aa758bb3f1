"""The dashboard in a real browser: it fits desks and phones, changes by itself, and everybody can read it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
SPEC = importlib.util.spec_from_file_location("dashboard_picture", ROOT / "scripts/dashboard_picture.py")
PICTURE = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = PICTURE
SPEC.loader.exec_module(PICTURE)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
LIMIT_MS = 30_000


@pytest.fixture(scope="module")
def browser(program):
    with PICTURE.chromium(program("chromium", "chromium")) as running:
        yield running


@pytest.fixture(scope="module")
def busy(serve_for_module):
    """A server with something in every table that a test can fill quickly."""
    env = {"ERLMCP_DASHBOARD__INTERVAL_S": "0.5", "ERLMCP_LOOP_BLOCKED_WARN_S": "0.2"}
    server = serve_for_module("--workers", "2", env=env).started()
    for tool, arguments in (("who", {}), ("block", {"seconds": 0.7}), ("slow", {"seconds": 0.01})):
        server.call(tool, **arguments)
    session = server.connect()
    session.handshake("no/such-method", {}, id=1)
    session.close()
    return server


@pytest.fixture
def show(browser, busy):
    """Open the page; what the browser complains of fails the test."""
    complaints: list[str] = []
    opened = []

    def start(size, scheme="light", *, scripts=True, of=None, may_complain=False):
        context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=scripts)
        opened.append(context)
        shown = context.new_page()
        shown.set_default_timeout(LIMIT_MS)
        if not may_complain:
            shown.on("console", lambda message: complaints.append(message.text))
            shown.on("pageerror", lambda fault: complaints.append(str(fault)))
        shown.goto(f"{(of or busy).admin}/dashboard")
        if scripts:
            shown.wait_for_selector("#live:has-text('live')")
        return shown

    yield start
    for context in opened:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_is_wider_than_the_screen(show, size):
    shown = show(size)
    shown.click("summary")
    wide = shown.evaluate(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, thead, caption')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(shown.screenshot(full_page=True)) > 10_000


def test_a_wide_page_would_be_seen(show):
    """The negative control of the widths."""
    shown = show(PHONE)
    shown.evaluate("document.querySelector('h1').style.width = '500px'")
    assert not shown.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_call_is_seen_without_loading_the_page_again(show, busy):
    shown = show(DESK)
    shown.evaluate("window.same = true")
    calls = "#tools tr:has(th:text-is('who')) td[data-column=calls]"
    before = int(shown.inner_text(calls))
    busy.call("who")
    shown.wait_for_function(
        "([calls, count]) => [...document.querySelectorAll('#tools tr')].some("
        "row => row.cells[0].textContent === 'who' && row.cells[1].textContent === count)",
        arg=[calls, str(before + 1)],
    )
    assert shown.evaluate("window.same")


def test_a_lost_server_is_said(show, serve):
    env = {"ERLMCP_DASHBOARD__INTERVAL_S": "0.2"}
    server = serve(env=env).started()
    shown = show(DESK, of=server, may_complain=True)
    server.kill()
    shown.wait_for_selector("#live:has-text('old')")
    assert "stale" in shown.get_attribute("body", "class")


def test_without_scripts_it_is_a_page_that_can_be_read(show):
    shown = show(PHONE, scripts=False)
    assert shown.inner_text("#live") == "still"
    assert shown.inner_text("#state strong")
    assert "who" in shown.inner_text("#tools")


def test_the_picture_of_the_documentation_is_made_of_the_page(browser, busy, tmp_path):
    PICTURE.photograph(browser, busy.admin, tmp_path / "dashboard.png")
    made, kept = ((folder / "dashboard.png").read_bytes() for folder in (tmp_path, ROOT / "docs/images"))
    assert made[:8] == kept[:8] == b"\x89PNG\r\n\x1a\n"
    assert made[16:20] == kept[16:20]  # as wide


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_people_who_read_with_other_means_can_read_it(show, size, scheme):
    shown = show(size, scheme)
    shown.click("summary")
    assert _violations(shown) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_can_be_read_in_its_colours(show, scheme):
    shown = show(DESK, scheme)
    words = "['well', 'watch', 'draining', 'warning', 'critical', 'quiet']"
    shown.evaluate(
        f"document.querySelector('footer').innerHTML = {words}.map(word => `<p class='state ${{word}}'>"
        "<strong>Word</strong> <span>sentence</span></p><p class='mark ${word}'>word</p>`).join('')"
    )
    assert _violations(shown) == []


def test_a_page_that_is_hard_to_read_would_be_seen(show):
    """The negative control of the check above."""
    shown = show(DESK)
    shown.evaluate("document.querySelector('html').removeAttribute('lang')")
    shown.evaluate("document.querySelector('footer').innerHTML = '<img src=\"/dashboard/icon.svg\">'")
    assert {"html-has-lang", "image-alt"} <= {each["id"] for each in _violations(shown)}


def _violations(shown):
    if not AXE.is_file():
        lacking = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        lacking("axe-core is missing; sh scripts/node-clients.sh brings it")
    shown.evaluate(AXE.read_text())
    found = shown.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [{"id": each["id"], "nodes": [node["html"] for node in each["nodes"]][:5]} for each in found]
