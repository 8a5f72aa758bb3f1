"""Which files hold a secret well: those that nobody but the server, and root, can read.

It knows rights only; what the secrets are is the business of who reads them.
"""

from __future__ import annotations

import os


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether somebody beside the server and root may read or change it.

    A file of root may be readable for its group when we are not root: whoever runs us has chosen that group
    so that we can read it. Secrets of Kubernetes (fsGroup) and credentials of systemd come so, and no server
    could change their rights.
    """
    others = 0o077
    if found.st_uid == 0 and os.geteuid() != 0:
        others = 0o037
    return bool(found.st_mode & others)
