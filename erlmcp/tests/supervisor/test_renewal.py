"""Looking for renewed files, without a server: what counts as a change, and what a fault of ours does."""

from __future__ import annotations

import asyncio
import os

import pytest
from authority import Authority, now

from erlmcp.config.schema import TlsSettings
from erlmcp.supervisor.renewal import Renewal

pytestmark = pytest.mark.anyio
AUTHORITY = Authority()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def renewal(tmp_path):
    certificate, key = AUTHORITY.issue().write(tmp_path)
    settings = TlsSettings(certificate=str(certificate), key=str(key), reload_interval_s=0.001)
    return Renewal(settings, now)


def test_files_that_did_not_change_are_not_read_again(renewal, tmp_path, monkeypatch):
    monkeypatch.setattr("erlmcp.edge.certificates.read", None)  # to call it would raise
    assert renewal.look() is None
    os.utime(tmp_path / "server.pem", ns=(1, 1))
    with pytest.raises(TypeError):
        renewal.look()


def test_the_same_files_written_again_are_no_renewal(renewal, tmp_path):
    (tmp_path / "server.pem").write_bytes((tmp_path / "server.pem").read_bytes())
    assert renewal.look() is None
    assert (renewal.metrics().renewed, renewal.metrics().refused) == (0, 0)


def test_a_link_that_is_turned_to_other_files_is_a_renewal(renewal, tmp_path):
    """As Kubernetes renews a mounted secret."""
    renewed = AUTHORITY.issue()
    (tmp_path / "new").mkdir()
    for path in renewed.write(tmp_path / "new"):
        link = tmp_path / "link"
        link.symlink_to(path)
        link.replace(tmp_path / path.name)
    assert renewal.look() == renewed.identity()
    assert renewal.identity == renewed.identity()
    assert renewal.metrics().expires_at == renewed.chain[0].not_valid_after_utc.timestamp()


async def test_a_fault_while_handing_on_is_not_the_end_of_renewals(renewal, tmp_path, caplog):
    handed = asyncio.Queue()

    async def hand_on(identity):
        await handed.put(identity)
        if handed.qsize() == 1:
            raise RuntimeError("a fault of ours")

    running = asyncio.create_task(renewal.run(hand_on))
    for number in (1, 2):
        renewed = AUTHORITY.issue()
        renewed.write(tmp_path)
        async with asyncio.timeout(10):
            while handed.qsize() < number:  # noqa: ASYNC110 - a bounded wait
                await asyncio.sleep(0.005)
    running.cancel()
    assert "tls.renewal-failed" in caplog.text
    assert renewal.identity == renewed.identity()


async def test_without_tls_nothing_is_looked_for():
    async with asyncio.timeout(5):
        await Renewal(TlsSettings(), now).run(None)
