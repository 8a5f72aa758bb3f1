"""Which rights on a file with a secret are taken, by root and by a user that runs a server."""

from __future__ import annotations

import os

import pytest

from erlmcp.config.private_files import is_open_to_others

ROOT, SERVER = 0, 1_000


@pytest.mark.parametrize(
    ("mode", "owner", "user", "is_open"),
    [
        (0o600, SERVER, SERVER, False),
        (0o400, ROOT, ROOT, False),
        (0o640, SERVER, SERVER, True),
        (0o604, SERVER, SERVER, True),
        (0o440, ROOT, SERVER, False),  # a secret of Kubernetes, a credential of systemd
        (0o640, ROOT, SERVER, False),
        (0o660, ROOT, SERVER, True),
        (0o444, ROOT, SERVER, True),
        (0o441, ROOT, SERVER, True),
        (0o440, ROOT, ROOT, True),  # root reads without a group: the group can only be for somebody else
    ],
)
def test_only_the_server_and_root_may_read_a_secret(monkeypatch, mode, owner, user, is_open):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    found = os.stat_result((0o100_000 | mode, 1, 1, 1, owner, SERVER, 6, 0, 0, 0))
    assert is_open_to_others(found) is is_open
