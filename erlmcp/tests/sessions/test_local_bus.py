"""The bus of one process."""

from erlmcp.sessions import bus as bus_module
from erlmcp.sessions.bus import CHANGES, KEPT, KINDS, BusEvent, LocalBus


def test_every_listener_hears_every_event_until_it_unsubscribes():
    bus, heard = LocalBus(), []
    first = bus.subscribe(lambda event: heard.append(("first", event)))
    bus.subscribe(lambda event: heard.append(("second", event)))
    bus.publish(BusEvent("tools"))
    first()
    first()
    bus.publish(BusEvent("prompts"))
    assert heard == [
        ("first", BusEvent("tools")),
        ("second", BusEvent("tools")),
        ("second", BusEvent("prompts")),
    ]


def test_a_listener_that_raises_does_not_stop_the_others(caplog):
    bus, heard = LocalBus(), []

    def broken(event):
        raise ValueError("no")

    bus.subscribe(broken)
    bus.subscribe(heard.append)
    bus.publish(BusEvent("tools"))
    assert heard == [BusEvent("tools")]
    assert "a bus listener raised" in caplog.text


def test_a_listener_may_unsubscribe_while_it_is_told():
    bus, heard = LocalBus(), []

    def once(event):
        heard.append(event)
        stop()

    stop = bus.subscribe(once)
    bus.publish(BusEvent("tools"))
    bus.publish(BusEvent("tools"))
    assert len(heard) == 1


def test_every_kind_of_event_is_known_to_be_one():
    named = {value for name, value in vars(bus_module).items() if name.isupper() and isinstance(value, str)}
    assert named == KINDS
    assert KEPT < KINDS
    assert CHANGES < KINDS
