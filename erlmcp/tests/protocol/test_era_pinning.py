"""A shared channel has one era, decided by its first request."""

from hypothesis import given
from hypothesis import strategies as st
from mcp_types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION

from erlmcp.protocol.eras import HANDSHAKE, MODERN
from erlmcp.protocol.jsonrpc import Request
from erlmcp.protocol.pinning import EraPin

VERSION = "io.modelcontextprotocol/protocolVersion"
INITIALIZE = Request(1, "initialize", {"protocolVersion": "2025-11-25"})
DISGUISED = Request(1, "initialize", {"protocolVersion": "2025-11-25", "_meta": {VERSION: "2026-07-28"}})
ENVELOPED = Request(1, "tools/list", {"_meta": {VERSION: "2026-07-28"}})
BARE = Request(1, "tools/list", None)
ANY = st.sampled_from([INITIALIZE, DISGUISED, ENVELOPED, BARE])


@given(ANY, st.lists(ANY, max_size=8))
def test_the_first_request_decides_and_the_other_era_is_refused_ever_after(first, others):
    pin = EraPin()
    assert pin.judge(first) is None
    era = MODERN if first is ENVELOPED else HANDSHAKE
    assert pin.era == era
    for request in others:
        fault = pin.judge(request)
        if era == MODERN and request.method == "initialize":
            assert fault is not None
            assert fault.code == UNSUPPORTED_PROTOCOL_VERSION
            assert fault.data == {"supported": ["2026-07-28"], "requested": "2025-11-25"}
        elif era == HANDSHAKE and request is ENVELOPED:
            assert fault is not None
            assert fault.code == INVALID_REQUEST
        else:
            assert fault is None
        assert pin.era == era


def test_where_one_era_is_given_the_first_request_of_the_other_is_refused():
    fault = EraPin(HANDSHAKE).judge(ENVELOPED)
    assert fault is not None
    assert fault.code == INVALID_REQUEST


def test_an_initialize_without_a_version_is_told_what_is_supported():
    pin = EraPin(MODERN)
    fault = pin.judge(Request(1, "initialize", None))
    assert fault is not None
    assert fault.data == {"supported": ["2026-07-28"]}
