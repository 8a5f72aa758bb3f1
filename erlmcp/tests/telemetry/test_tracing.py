"""Spans arrive at a real receiver of OTLP/HTTP, in the trace of whoever asked, and without secrets."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
GUEST = """
import sys
from mcp.server import MCPServer

server = MCPServer("traced")

@server.tool()
def loaded() -> str:
    return " ".join(m for m in sys.modules if m.startswith(("opentelemetry.sdk", "opentelemetry.exporter")))

@server.tool()
async def fail(text: str) -> str:
    raise RuntimeError(text)
"""


class Receiver(ThreadingHTTPServer):
    """Takes what an exporter sends."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.raw: list[bytes] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    def requests(self):
        return [ExportTraceServiceRequest.FromString(each) for each in list(self.raw)]

    def spans(self):
        """Name to span, of all that came."""
        scopes = [s for r in self.requests() for each in r.resource_spans for s in each.scope_spans]
        return [span for scope in scopes for span in scope.spans]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        assert self.headers["Content-Type"] == "application/x-protobuf"
        self.server.raw.append(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def traced(serve, receiver, tmp_path):
    """Start a server that sends its spans to the receiver, or to nobody."""
    (tmp_path / "traced.py").write_text(GUEST)

    def start(endpoint=None, sample="1", workers="1"):
        env = {"ERLMCP_TRACE__ENDPOINT": receiver.url if endpoint is None else endpoint}
        env |= {"ERLMCP_TRACE__SAMPLE": sample, "ERLMCP_LOG__REDACT_ARGUMENTS": "ssn"}
        return serve("--workers", workers, target=f"{tmp_path / 'traced.py'}:server", env=env).started()

    return start


def _call(server, tool="loaded", traceparent="", **arguments):
    connection = server.connect()
    if traceparent:
        connection._credential = {"traceparent": traceparent, "tracestate": "vendor=1"}
    connection.send("tools/call", {"name": tool, "arguments": arguments})
    answer = connection.http.getresponse().read()
    connection.close()
    return json.loads(answer)


def _attributes(span):
    return {each.key: each.value.string_value for each in span.attributes}


def test_a_span_goes_on_with_the_trace_of_the_http_header(traced, receiver, until):
    server = traced()
    _call(server, traceparent=SAMPLED)
    until(receiver.spans)
    [span] = receiver.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.trace_state) == ("tools/call loaded", "vendor=1")
    told = _attributes(span)
    assert told["mcp.method.name"] == "tools/call"
    assert told["gen_ai.tool.name"] == "loaded"
    resource = receiver.requests()[0].resource_spans[0].resource
    assert _attributes(resource)["service.name"].endswith("traced.py:server")


def test_a_span_goes_on_with_the_trace_of_meta_before_that_of_the_header(traced, receiver, until):
    server = traced()
    connection = server.connect()
    other = TRACE.replace("0", "1")
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/list",
        "traceparent": SAMPLED,
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "traceparent": SAMPLED.replace(TRACE, other),
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    connection.http.request("POST", connection.path, json.dumps(body), headers)
    assert connection.http.getresponse().status == 200
    connection.close()
    until(receiver.spans)
    assert [span.trace_id.hex() for span in receiver.spans()] == [other]


def test_the_share_that_is_recorded_is_that_of_the_configuration_and_can_be_seen(traced, receiver, until):
    server = traced(sample="0")
    for _ in range(10):
        _call(server)
    _call(server, traceparent=UNSAMPLED)
    _call(server, traceparent=SAMPLED)

    def fate(name):
        return server.sample("erlmcp_spans_total", fate=name)

    until(lambda: fate("sent") == 1)
    assert (fate("sampled"), fate("unsampled"), fate("failed")) == (1, 11, 0)
    assert [span.trace_id.hex() for span in receiver.spans()] == [TRACE]


def test_the_last_spans_of_a_worker_are_sent_before_it_ends(traced, receiver):
    server = traced(workers="2")
    for _ in range(20):
        _call(server)
    assert server.stop() == 0
    assert len(receiver.spans()) == 20


def test_what_a_receiver_refuses_is_counted_and_the_server_serves_on(traced, receiver, until):
    receiver.status = 400
    server = traced()
    _call(server)
    until(lambda: server.sample("erlmcp_spans_total", fate="failed") == 1)
    assert "result" in _call(server)


def test_no_span_holds_a_secret(traced, receiver, until):
    server = traced()
    _call(server, "fail", text="Bearer canary0123456789 and ssn=canary")
    _call(server, "ghp_canary0123456789abcdefghij")
    until(lambda: len(receiver.spans()) >= 2)
    assert not [each for each in receiver.raw if b"canary" in each]


def test_nothing_is_loaded_when_it_is_off(traced):
    text = _call(traced(endpoint=""))["result"]["content"][0]["text"]
    assert text == ""


def test_an_endpoint_that_everybody_can_read_on_the_way_is_refused(serve):
    server = serve(env={"ERLMCP_TRACE__ENDPOINT": "http://collector.example.com/v1/traces"})
    assert server.wait() == 2
    assert any(line.startswith("error[config.bad-value]") for line in server.lines)


def test_a_generation_without_the_packages_is_refused_with_what_to_do(tmp_path, monkeypatch):
    from erlmcp.config.errors import ErlmcpError
    from erlmcp.config.trace_settings import TraceSettings
    from erlmcp.telemetry import tracing
    from erlmcp.telemetry.redaction import Redaction

    monkeypatch.setitem(
        __import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None
    )
    settings = TraceSettings(endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(ErlmcpError) as raised:
        tracing.start(settings, Redaction(), service="s", instance="i")
    assert raised.value.error_id == "config.otel-missing"
