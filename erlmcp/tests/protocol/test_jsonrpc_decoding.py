"""JSON-RPC from hostile bytes: property tests of the decoder."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erlmcp.protocol import jsonrpc
from erlmcp.protocol.faults import Fault
from erlmcp.protocol.jsonrpc import Malformed, Notification, Request, Response

DEPTH = 16
ids = st.one_of(st.text(max_size=20), st.integers(-(2**63) + 1, 2**63 - 1))
plain = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=20))
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
params = st.dictionaries(st.text(max_size=8), values, max_size=4)


def decoded(value) -> jsonrpc.Message:
    return jsonrpc.decode(json.dumps(value).encode(), max_depth=64)


@given(ids, st.text(), params)
def test_a_request_comes_out_as_it_went_in(request_id, method, given_params):
    message = decoded({"jsonrpc": "2.0", "id": request_id, "method": method, "params": given_params})
    assert message == Request(request_id, method, given_params)
    assert type(message.id) is type(request_id)


@given(st.text(), params)
def test_without_an_id_it_is_a_notification(method, given_params):
    message = decoded({"jsonrpc": "2.0", "method": method, "params": given_params})
    assert message == Notification(method, given_params)


@given(ids, params)
def test_a_result_makes_it_a_response(request_id, result):
    message = decoded({"jsonrpc": "2.0", "id": request_id, "result": result})
    assert message == Response(request_id, result, None)


def message_or_refusal(body) -> jsonrpc.Message | Malformed:
    """Anything else that is raised fails the test."""
    try:
        return jsonrpc.decode(body, max_depth=DEPTH)
    except Malformed as malformed:
        return malformed


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_but_malformed(body):
    outcome = message_or_refusal(body)
    if isinstance(outcome, Malformed):
        assert outcome.fault.code in (-32700, -32600)
        assert outcome.fault.http_status == 400


@given(values, st.sampled_from(["id", "method", "params", "jsonrpc", "result", "error"]))
def test_no_value_in_any_member_raises_anything_but_malformed(value, member):
    message = {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {}, member: value}
    outcome = message_or_refusal(json.dumps(message).encode())
    if isinstance(outcome, Malformed):
        assert outcome.fault.code == -32600
        assert member == "id" or outcome.id == 1


@given(st.integers(1, 40), st.sampled_from(["[", "{", "mixed"]))
def test_depth_is_refused_exactly_beyond_the_limit(depth, kind):
    opening = {"[": "[", "{": '{"a":', "mixed": '[{"a":'}[kind] * depth
    closing = {"[": "]", "{": "}", "mixed": "}]"}[kind] * depth
    levels = depth * (2 if kind == "mixed" else 1) + 2  # within params within the message
    body = f'{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"x":{opening}1{closing}}}}}'.encode()
    if levels <= DEPTH:
        assert isinstance(jsonrpc.decode(body, max_depth=DEPTH), Request)
    else:
        with pytest.raises(Malformed) as caught:
            jsonrpc.decode(body, max_depth=DEPTH)
        assert caught.value.fault.code == -32700


@given(st.text(alphabet='[]{}"\\a', max_size=200))
def test_brackets_inside_strings_do_not_count_as_depth(text):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"x": text}}).encode()
    assert jsonrpc.decode(body, max_depth=DEPTH).params == {"x": text}


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 200_000, b"[" * 400_000, b"[]," * 400_000, b'{"":' * 99_999]
)
@pytest.mark.timeout(5)
def test_large_hostile_bodies_are_refused_in_linear_time(body):
    with pytest.raises(Malformed):
        jsonrpc.decode(body, max_depth=DEPTH)


@given(ids, params)
def test_what_is_encoded_can_be_decoded(request_id, result):
    encoded = jsonrpc.encode_result(request_id, result)
    assert b"\n" not in encoded, "one line, so that it is one SSE data line"
    assert jsonrpc.decode(encoded, max_depth=64) == Response(request_id, result, None)
    assert json.loads(jsonrpc.encode_fault(None, Fault(1, "x")))["id"] is None
