"""Who is shut out, when and for how long; that transports report offences is tested over sockets."""

import pytest

from erlmcp.config.schema import HttpSettings, LimitSettings, Settings, TlsSettings
from erlmcp.edge import bans
from erlmcp.edge.bans import MALFORMED, BanRecords, Bans
from erlmcp.edge.proxies import Proxies
from erlmcp.sessions.bus import BANNED, NEWCOMER, BusEvent, LocalBus
from erlmcp.telemetry.meter import Meter

pytestmark = pytest.mark.anyio

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make(clock, *, bus=None, tls=None, proxies=(), **limits):
    given = {"ban_after": 3, "ban_window_s": 30, "ban_s": 60, **limits}
    settings = Settings(
        limits=LimitSettings(**given),
        tls=TlsSettings(**(tls or {})),
        http=HttpSettings(trusted_proxies=proxies),
    )
    return Bans(settings, Meter(), bus or LocalBus(), Proxies(settings.http), clock)


def offend(judge, address=ADDRESS, times=1):
    for _ in range(times):
        judge.offended(address, MALFORMED)


async def test_one_offence_more_than_allowed_shuts_out_and_nobody_else(clock):
    judge = make(clock)
    offend(judge, times=3)
    assert not judge.is_banned(ADDRESS)
    offend(judge)
    assert judge.is_banned(ADDRESS)
    assert not judge.is_banned(OTHER)


async def test_offences_are_forgiven_little_by_little(clock):
    judge = make(clock)
    offend(judge, times=3)
    clock.now += 9.9
    offend(judge)
    assert judge.is_banned(ADDRESS), "one is forgiven after ten seconds"
    slow = make(clock)
    for _ in range(100):
        offend(slow)
        clock.now += 10
    assert not slow.is_banned(ADDRESS)


async def test_a_ban_ends_after_its_time_and_the_next_offence_begins_another(clock):
    judge = make(clock)
    offend(judge, times=4)
    clock.now += 59.9
    assert judge.is_banned(ADDRESS)
    clock.now += 0.1
    assert not judge.is_banned(ADDRESS)
    offend(judge, times=4)
    assert judge.is_banned(ADDRESS)


async def test_a_network_of_ipv6_is_shut_out_as_a_whole(clock):
    judge = make(clock)
    for number in range(4):
        offend(judge, f"2001:db8:1:2::{number:x}")
    assert judge.is_banned("2001:db8:1:2:ffff::1")
    assert not judge.is_banned("2001:db8:1:3::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", ""])
async def test_this_machine_is_shut_out_only_if_that_is_asked_for(clock, address):
    judge, strict = make(clock), make(clock, loopback=True)
    offend(judge, address, 50)
    offend(strict, address, 4)
    assert not judge.is_banned(address)
    assert strict.is_banned(address)


async def test_behind_a_proxy_whose_clients_all_have_its_address_nobody_is_shut_out(clock):
    judge = make(clock, tls={"terminated_by_proxy": True})
    offend(judge, times=50)
    assert not judge.is_banned(ADDRESS)


async def test_a_trusted_proxy_is_never_shut_out_but_its_clients_are(clock):
    judge = make(clock, proxies=("192.0.2.1",), tls={"terminated_by_proxy": True})
    offend(judge, times=50)
    offend(judge, OTHER, 4)
    assert not judge.is_banned(ADDRESS)
    assert judge.is_banned(OTHER)


async def test_zero_shuts_nobody_out(clock):
    judge = make(clock, ban_after=0)
    offend(judge, times=50)
    assert not judge.is_banned(ADDRESS)


async def test_the_other_workers_hear_of_it_and_one_without_bans_does_not_mind(clock):
    bus = LocalBus()
    workers = [make(clock, bus=bus), make(clock, bus=bus), make(clock, bus=bus, ban_after=0)]
    offend(workers[0], times=4)
    assert [each.is_banned(ADDRESS) for each in workers] == [True, True, False]


async def test_a_worker_that_starts_later_hears_of_it_and_of_the_time_that_is_left(clock):
    bus = LocalBus()
    BanRecords(bus, clock)
    offend(make(clock, bus=bus), times=4)
    clock.now += 40
    later = make(clock, bus=bus)
    assert not later.is_banned(ADDRESS)
    bus.publish(BusEvent(NEWCOMER))
    assert later.is_banned(ADDRESS)
    clock.now += 19.9
    assert later.is_banned(ADDRESS)
    clock.now += 0.2
    assert not later.is_banned(ADDRESS)
    bus.publish(BusEvent(NEWCOMER))
    assert not later.is_banned(ADDRESS)


async def test_a_ban_of_a_release_that_told_no_length_lasts_as_long_as_ones_own(clock):
    bus = LocalBus()
    judge = make(clock, bus=bus)
    bus.publish(BusEvent(BANNED, ADDRESS))
    clock.now += 59
    assert judge.is_banned(ADDRESS)
    clock.now += 2
    assert not judge.is_banned(ADDRESS)


async def test_what_is_remembered_for_others_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(bans, "MAX_BANNED", 2)
    bus = LocalBus()
    records = BanRecords(bus, clock)
    for number in range(5):
        offend(make(clock, bus=bus), f"192.0.2.{number}", times=4)
    assert list(records._banned) == ["192.0.2.3", "192.0.2.4"]


async def test_a_ban_is_counted_and_logged_once_however_much_comes(clock, caplog):
    judge = make(clock)
    offend(judge, times=50)
    assert judge._meter.snapshot()["rejected"] == {"ban": 1}
    assert [record.message for record in caplog.records] == ["address.banned"]


async def test_who_is_remembered_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(bans, "MAX_BANNED", 2)
    judge = make(clock)
    for host in range(3):
        offend(judge, f"192.0.2.{host}", 4)
    assert [judge.is_banned(f"192.0.2.{host}") for host in range(3)] == [False, True, True]
