"""The dashboard of a running server: the numbers of /metrics, true words, and no markup but its own."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from erlmcp.admin.dashboard.html import Html, el, join

HOSTILE = '<img src=x onerror="alert(1)">&amp;'
HOSTILE_GUEST = f"""
from mcp.server import MCPServer
server = MCPServer({HOSTILE!r})

@server.tool(name={HOSTILE!r})
def hostile() -> str:
    return "done"
"""


class Page(HTMLParser):
    """What a reader sees: the cells of each table by the name of its row, and the texts by id."""

    def __init__(self, answer):
        super().__init__()
        assert answer.status == 200, answer.body
        self.text = answer.body.decode()
        self.rows: dict[tuple[str, str], dict[str, str]] = {}
        self.alerts: set[tuple[str, str]] = set()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._row: dict[str, str] = {}
        self._column = ""
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self._row = {}
        self._column = dict(attrs).get("data-column", "") if tag in {"th", "td"} else self._column

    def handle_endtag(self, tag):
        if tag in {"th", "td"}:
            self._column = ""
        if tag == "tr" and self._row:
            self.rows[next(iter(self._row.items()))] = self._row
            if "alert" in self._row:
                self.alerts.add((self._row["alert"], self._row["state"]))

    def handle_data(self, data):
        if self._column:
            self._row[self._column] = self._row.get(self._column, "") + data

    @property
    def state(self):
        """The word and the sentence at the top."""
        found = re.search(r'<p class="state (\w+)"><strong>([^<]+)</strong> <span>([^<]*)</span>', self.text)
        return found.groups()


@pytest.fixture
def page(server):
    return lambda: Page(server.read("/dashboard"))


def _number(text):
    return float(text.replace(",", ""))


def test_calls_and_errors_of_each_tool_are_those_of_the_metrics(server, page, until):
    for _ in range(3):
        server.call("who")
    server.call("slow", seconds=0)  # only a tool that is known to exist has a name of its own
    session = server.connect()
    session.send("tools/call", {"name": "slow", "arguments": {"seconds": "long"}})
    session.http.getresponse().read()
    session.close()

    def counted():
        calls = {tool: server.sample("erlmcp_tool_calls_total", tool=tool) for tool in ("who", "slow")}
        good = {tool: server.sample("erlmcp_tool_calls_total", tool=tool, outcome="ok") for tool in calls}
        asked = server.sample("erlmcp_requests_total", method="tools/call")
        return [asked, *((calls[tool], calls[tool] - good[tool]) for tool in calls)]

    def shown():
        rows = page().rows
        tools = [rows.get(("tool", tool)) for tool in ("who", "slow")]
        if None in tools:
            return []
        asked = _number(rows["method", "tools/call"]["requests"])
        return [asked, *((_number(row["calls"]), _number(row["errors"])) for row in tools)]

    until(lambda: counted() == shown())  # a worker that is busy is shown by its last word
    assert counted()[1][0] >= 3
    assert counted()[2][1] >= 1


def test_gauges_and_limits_are_those_of_the_metrics(server, page):
    rows = page().rows
    assert _number(rows["generation", "g1"]["workers"]) == server.sample("erlmcp_workers", generation="g1")
    for name, metric in (("connections", "connections"), ("in-flight", "in_flight_requests")):
        row = rows["limit", f"{name} of g1"]
        assert _number(row["of"]) == server.sample(f"erlmcp_{metric}_limit", generation="g1")
    assert rows["generation", "g1"]["version"] == "1.0.0"
    assert rows["part", "http"]["state"] == "up"


def test_it_says_that_all_is_well_or_names_the_rules_that_are_not_quiet(page):
    found = page()
    loud = [alert for alert, state in found.alerts if not state.endswith(("quiet", "nothing to measure"))]
    if loud:  # a machine with a full disk, say
        assert any(alert.split(" · ")[0] in found.state[2] for alert in loud)
    else:
        assert found.state == ("well", "All is well", "Every part is up and nothing is beyond its threshold.")
    assert ("ErlmcpFlood", "critical: quiet") in found.alerts
    assert ("ErlmcpCertificateExpiring", "warning: nothing to measure") in found.alerts


def test_it_says_what_is_wrong(serve, until):
    server = serve().started()
    assert server.act("POST", "/generations/g1/drain").status == 200
    until(lambda: server.generation("g1")["state"] == "warm")
    word, title, sentence = Page(server.read("/dashboard")).state
    assert (word, title) == ("critical", "Critical")
    assert sentence.startswith("It takes no requests: http is down")


def test_calls_that_block_the_event_loop_and_rules_beyond_their_bounds_are_named(serve, until):
    env = {"ERLMCP_LOOP_BLOCKED_WARN_S": "0.2", "ERLMCP_DASHBOARD__INTERVAL_S": "0.2"}
    server = serve(env=env).started()
    server.call("block", seconds=0.8)
    blocked = ("call", "tools/call")
    found = until(lambda: (shown := Page(server.read("/dashboard"))).rows.get(blocked) and shown)
    assert found.rows[blocked]["tool"] == "block"
    assert any(
        alert == "ErlmcpEventLoopLag" and state.startswith("warning in") for alert, state in found.alerts
    )
    assert found.state[0] != "well"


def test_names_that_are_markup_are_shown_and_never_become_any(serve):
    server = serve(target="hostile:server")
    (server.folder / "hostile.py").write_text(HOSTILE_GUEST)
    server.started()
    assert server.call(HOSTILE) == "done"
    found = Page(server.read("/dashboard"))
    assert found.rows["tool", HOSTILE]["calls"] == "1"
    assert "img" not in found.tags
    assert "onerror" not in found.attributes


def test_the_escaping_is_what_keeps_markup_out():
    """The negative control: the same name as Html is an element."""
    assert "<img" not in join(HOSTILE, [HOSTILE])
    assert "<img" not in el("td", HOSTILE, title=HOSTILE)
    assert "<img" in join(Html(HOSTILE))


def test_no_script_no_style_and_nothing_from_elsewhere_stands_in_the_page(server, page):
    policy = server.read("/dashboard").headers["content-security-policy"]
    told = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert told["default-src"] == told["frame-ancestors"] == told["base-uri"] == "'none'"
    assert {told[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    found = page()
    assert "style" not in found.tags | found.attributes
    assert not {name for name in found.attributes if name.startswith("on")}
    assert re.findall(r"<script[^>]*>(.*?)</script>", found.text) == [""]
    assert not re.search(r'(?:src|href)="(?!/)', found.text)


def test_without_scripts_the_page_loads_itself_again(page):
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page().text


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/events", "/dashboard/dashboard.js"])
def test_a_page_that_was_lured_here_by_dns_reads_nothing(server, path):
    answer = server.read(path, headers={"Host": "evil.example"})
    assert (answer.status, answer.json["error"]["id"]) == (421, "admin.host-refused")


def test_switched_off_there_is_none(serve):
    server = serve(env={"ERLMCP_DASHBOARD__ENABLED": "false"}).started()
    for path in ("/dashboard", "/dashboard/events"):
        answer = server.read(path)
        assert (answer.status, answer.json["error"]["id"]) == (404, "dashboard.off")


def test_a_generation_has_no_dashboard_of_its_own(server):
    answer = server.stage("other-page", config={"dashboard.enabled": False})
    assert (answer.status, answer.json["error"]["id"]) == (400, "generations.not-its-own")
