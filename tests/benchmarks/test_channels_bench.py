"""The load generator of the channels counts only right answers, over both framings."""

import pytest
from benchmarks.channels import load
from benchmarks.channels.client import Order
from benchmarks.channels.framing import LEAST_ID, Lines, WebSocket
from benchmarks.channels.measuring import measure
from benchmarks.channels.targets import (
    BARE_LINES,
    BARE_WEBSOCKET,
    GOALS,
    OURS_TCP,
    OURS_WEBSOCKET,
    TARGETS,
    ChannelTarget,
)
from benchmarks.http.load import LoadError
from benchmarks.http.measuring import require_right
from benchmarks.http.messages import WrongAnswerError, message_for
from benchmarks.http.serving import running
from benchmarks.http.targets import Mode, Target
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

BY_NAME = {target.name: target for target in TARGETS}
CALL = message_for(Target("", "", Mode.MODERN)).body
WRONG_CALL = message_for(Target("", "", Mode.MODERN, tool="no_such_tool")).body


def order_for(target: ChannelTarget, port: int, body: str) -> Order:
    return Order(port, target.framing.value, "/ws", connections=2, depth=2, duration_s=0, body=body)


def test_every_goal_compares_servers_that_are_measured():
    assert all(goal.ours in BY_NAME and goal.peer in BY_NAME for goal in GOALS)


@pytest.mark.parametrize("name", [BARE_LINES, BARE_WEBSOCKET, OURS_TCP, OURS_WEBSOCKET])
def test_each_server_answers_every_call_rightly(name):
    sample = measure(BY_NAME[name], duration_s=0.2, warm_up_s=0.1)
    assert sample.rate_per_s > 0
    assert sample.cpu_us > 0


@pytest.mark.parametrize("name", [OURS_TCP, OURS_WEBSOCKET])
def test_a_wrong_answer_is_noticed(name):
    target = BY_NAME[name]
    with running(target) as server:
        right = load.run(order_for(target, server.port, CALL))
        wrong = load.run(order_for(target, server.port, WRONG_CALL))
    require_right(name, right, right)
    with pytest.raises(WrongAnswerError, match="went wrong"):
        require_right(name, right, wrong)


def test_a_server_that_is_not_there_is_no_load():
    with pytest.raises(LoadError, match="the load generator failed"):
        load.run(order_for(BY_NAME[BARE_LINES], 1, CALL))


def test_a_line_of_another_length_is_noticed():
    lines = Lines()
    assert lines.first_length(b"abc") is None
    assert lines.first_length(b"abc\nde") == 4
    assert lines.are_whole(b"abc\ndef\n", 4)
    assert not lines.are_whole(b"abcd\nef\n", 4)


@pytest.mark.parametrize("size", [10, 1_000])
def test_a_frame_of_the_load_generator_is_one_text_frame_to_a_server(size):
    websocket = WebSocket("host", "/ws")
    server = ServerProtocol(state=OPEN)
    server.receive_data(websocket.request(b"x" * size, LEAST_ID, b"y"))
    [frame] = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.data) == (Opcode.TEXT, b"x" * size + b"1000000y")
    server.send_text(frame.data)
    [answer] = server.data_to_send()
    assert websocket.first_length(answer[:-1]) is None
    assert websocket.first_length(answer) == len(answer)
    assert websocket.message(answer) == frame.data
    assert websocket.are_whole(answer * 3, len(answer))
    assert not websocket.are_whole(answer + b"z" + answer[1:], len(answer))
