"""The even load measures from when a request was due, and no answer counts before it is whole and right."""

import socket
import threading
from contextlib import contextmanager

import pytest
from benchmarks.http.load import Load
from benchmarks.http.measuring import require_right
from benchmarks.http.messages import WrongAnswerError, message_for, open_sessions
from benchmarks.http.pacer import Order, Pacer, Requests, tail_of
from benchmarks.http.serving import running
from benchmarks.http.targets import OURS_SESSION, SDK_DEFAULT, TARGETS

BY_NAME = {target.name: target for target in TARGETS}
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
STALL_S = 0.3


def ordered(port, **changed):
    given = {"fields": {"x-trace": "@TRACE@"}, "body": '{"id":"@ID@"}', "sessions": []}
    return Order(port, **{**given, "connections": 2, "rate_per_s": 200.0, "duration_s": 1.0, **changed})


@contextmanager
def answering(answer):
    """A server of one thread that answers each request with what ``answer(number)`` makes, in pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    count = iter(range(1_000_000))

    def serve(connection):
        with connection:
            while connection.recv(65_536):
                pieces = answer(next(count))
                if pieces is None:
                    return
                for piece in pieces:
                    connection.sendall(piece)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_requests_come_as_often_as_was_ordered():
    with answering(lambda _: [GOOD]) as port:
        counted = Pacer(ordered(port)).run()
    assert 150 < counted.requests <= 201
    assert (counted.bad, counted.bytes) == (0, counted.requests * len(GOOD))


def test_a_stall_counts_for_every_request_that_was_due_meanwhile():
    def stalls_once(number):
        if number == 100:
            threading.Event().wait(STALL_S)  # the stall is what is measured
        return [GOOD]

    with answering(stalls_once) as port:
        counted = Pacer(ordered(port, connections=1)).run()
    assert counted.requests > 150, "those that could not be sent meanwhile are sent after it"
    assert counted.p99_ms > STALL_S * 1e3 / 2, "a closed loop would have seen one slow answer in 200"


@pytest.mark.parametrize("answer", [GOOD, CHUNKED], ids=["with a length", "in chunks"])
def test_an_answer_counts_when_its_last_byte_has_come(answer):
    with answering(lambda _: [bytes([byte]) for byte in answer]) as port:
        counted = Pacer(ordered(port, rate_per_s=50.0)).run()
    assert (counted.bad, counted.bytes) == (0, counted.requests * len(answer))


def test_a_refusal_and_a_lost_connection_are_bad():
    def fails(number):
        if number == 10:
            return [GOOD.replace(b"200", b"503")]
        return None if number == 20 else [GOOD]

    with answering(fails) as port:
        counted = Pacer(ordered(port)).run()
    assert counted.bad == 2
    assert counted.requests > 150


def test_each_request_has_an_id_of_its_own_and_sessions_take_turns():
    requests = Requests(ordered(1, sessions=["one", "two"]))
    first, second, third = (next(requests).decode() for _ in range(3))
    assert "x-trace: 1000000\r\n" in first
    assert first.endswith('\r\n\r\n{"id":1000000}')
    assert "mcp-session-id: two\r\n" in second
    assert second.endswith('{"id":1000001}')
    assert "mcp-session-id: one\r\n" in third
    head, _, body = first.partition("\r\n\r\n")
    assert f"content-length: {len(body)}\r\n" in head


@pytest.mark.parametrize("name", [OURS_SESSION, SDK_DEFAULT])
def test_servers_answer_an_even_load_rightly(name, tmp_path):
    target = BY_NAME[name]
    with running(target) as server:
        load = Load.prepare(tmp_path, server.port, message_for(target), open_sessions(server.port, 4))
        loaded = load.run_evenly(4, 1.0, 100.0)
        require_right(name, loaded, loaded)
    assert 50 < loaded.requests <= 101


def test_wrong_answers_of_an_even_load_fail_the_target(tmp_path):
    target = BY_NAME[OURS_SESSION]
    with running(target) as server:
        load = Load.prepare(tmp_path, server.port, message_for(target), ["invented"])
        loaded = load.run_evenly(2, 0.5, 50.0)
    with pytest.raises(WrongAnswerError, match="went wrong"):
        require_right("it", loaded, loaded)


def even(seconds, slow):
    """Requests that are due each millisecond and take one, but for those that ``slow`` names."""
    return [(n / 1_000, 0.001 * (10 if slow(n) else 1)) for n in range(int(seconds * 1_000))]


@pytest.mark.parametrize(
    ("slow", "tail"),
    [
        (lambda _: False, 1.0),
        (lambda n: n % 50 == 0, 10.0),
        (lambda n: n % 200 == 0, 1.0),
        (lambda n: n < 3_000, 1.0),
        (lambda n: n < 6_000 and n % 50 == 0, 10.0),
    ],
    ids=["none", "two in a hundred", "too few for a p99", "a stop", "in more than half of the slices"],
)
def test_the_tail_is_that_of_the_median_slice(slow, tail):
    assert tail_of(even(10, slow), 1_000.0) == pytest.approx(tail)


def test_too_few_requests_for_a_slice_have_no_tail():
    assert tail_of(even(0.3, lambda _: True), 1_000.0) == 0.0
