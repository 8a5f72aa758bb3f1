"""Connections of each address, as they are counted; that transports count them is tested over sockets."""

import pytest

from erlmcp.config.schema import HttpSettings, LimitSettings, Settings, TlsSettings
from erlmcp.edge.addresses import is_this_machine, network_of
from erlmcp.edge.connection_limit import ConnectionLimit
from erlmcp.edge.proxies import Proxies
from erlmcp.telemetry.meter import Meter


class NobodyBanned:
    def is_banned(self, address):
        return False


def limit_of(most, *, loopback=False, proxies=(), by_proxy=False):
    settings = Settings(
        http=HttpSettings(max_connections_per_address=most, trusted_proxies=proxies),
        limits=LimitSettings(loopback=loopback),
        tls=TlsSettings(terminated_by_proxy=by_proxy),
    )
    return ConnectionLimit(settings, Meter(), NobodyBanned(), Proxies(settings.http))


def fill(limit, address, count):
    for _ in range(count):
        assert limit.has_room(address)
        limit.opened(address)


def test_an_address_holds_as_many_as_it_may_and_no_other_pays_for_it():
    limit = limit_of(2)
    fill(limit, "192.0.2.1", 2)
    assert not limit.has_room("192.0.2.1")
    assert limit.has_room("192.0.2.2")
    limit.closed("192.0.2.1")
    assert limit.has_room("192.0.2.1")


def test_an_address_without_connections_is_forgotten():
    limit = limit_of(2)
    for host in range(100):
        fill(limit, f"192.0.2.{host}", 1)
        limit.closed(f"192.0.2.{host}")
    assert len(limit) == 0


def test_all_of_a_network_of_ipv6_count_as_one():
    limit = limit_of(2)
    fill(limit, "2001:db8::1", 1)
    fill(limit, "2001:db8::2", 1)
    assert not limit.has_room("2001:db8::3")
    assert limit.has_room("2001:db8:0:1::3")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", ""])
def test_this_machine_is_limited_only_if_asked_for(address):
    limit = limit_of(1)
    fill(limit, address, 5)
    limit = limit_of(1, loopback=True)
    fill(limit, address, 1)
    assert not limit.has_room(address)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("no: address", "no: address"),
        ("", ""),
    ],
)
def test_the_name_under_which_an_address_is_counted(address, network):
    assert network_of(address) == network


def test_an_address_of_another_machine_is_not_this_one():
    assert not any(map(is_this_machine, ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "10.0.0.1")))


def test_a_trusted_proxy_may_hold_any_number():
    limit = limit_of(2, proxies=("192.0.2.0/24",))
    fill(limit, "192.0.2.1", 5)
    fill(limit, "198.51.100.1", 2)
    assert not limit.has_room("198.51.100.1")


def test_where_proxies_end_tls_nobody_else_is_let_in_but_this_machine():
    limit = limit_of(2, proxies=("192.0.2.0/24",), by_proxy=True)
    assert limit.has_room("192.0.2.1")
    assert limit.has_room("127.0.0.1")
    assert not limit.has_room("198.51.100.1")
    assert limit_of(2).has_room("198.51.100.1")
