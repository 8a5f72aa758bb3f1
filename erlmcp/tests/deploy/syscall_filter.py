"""Runs a program under the system call filter of a unit: ``python syscall_filter.py UNIT -- PROGRAM``.

It does what systemd would. From the unit come SystemCallFilter=, SystemCallErrorNumber=,
MemoryDenyWriteExecute= and RestrictAddressFamilies=; what the groups hold is asked of systemd-analyze, and
the filter is made by libseccomp, which systemd uses too. Needs no rights: no_new_privs is set first, as
NoNewPrivileges= does.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from units import settings

PR_SET_NO_NEW_PRIVS = 38
ALLOW = 0x7FFF0000
NE, MASKED_EQ, EQ = 1, 7, 4
_IMPLIED = ["@default", "execve"]
"""What systemd lets through whatever the filter names."""


class Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``: what an argument of a system call must be."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def calls_of(name: str) -> set[str]:
    """The system calls in a group, or the one of this name."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", name],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()[1:]
    members = [line.strip() for line in told if line.strip() and not line.strip().startswith("#")]
    return {call for member in members for call in calls_of(member)}


def allowed(unit: dict[str, list[str]]) -> set[str]:
    """What the lines of a unit let through, in their order. The first one must name what is allowed."""
    found = {call for name in _IMPLIED for call in calls_of(name)}
    for line in unit["SystemCallFilter"]:
        calls = {call for name in line.removeprefix("~").split() for call in calls_of(name)}
        found = found - calls if line.startswith("~") else found | calls
    return found


def conditions(unit: dict[str, list[str]]) -> dict[str, list[list[Comparison]]]:
    """System calls that are let through only with certain arguments; one of the lists must hold."""
    found: dict[str, list[list[Comparison]]] = {}
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        both = mmap.PROT_WRITE | mmap.PROT_EXEC
        parts = (0, mmap.PROT_WRITE, mmap.PROT_EXEC)
        found["mmap"] = [[Comparison(2, MASKED_EQ, both, part)] for part in parts]
        for call in ("mprotect", "pkey_mprotect"):
            found[call] = [[Comparison(2, MASKED_EQ, mmap.PROT_EXEC, 0)]]
    families = [name for line in unit.get("RestrictAddressFamilies", []) for name in line.split()]
    if families:
        found["socket"] = [[Comparison(0, EQ, getattr(socket, name), 0)] for name in families]
    return found


def load(unit: dict[str, list[str]]) -> None:
    """Put this process, and all that it starts, under the filter.

    Raises:
        OSError: the kernel or libseccomp does not take it.
    """
    library: Any = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    number = getattr(errno, unit["SystemCallErrorNumber"][-1])
    context = ctypes.c_void_p(library.seccomp_init(0x00050000 | number))
    certain = conditions(unit)
    for call in sorted(allowed(unit)):
        resolved = library.seccomp_syscall_resolve_name(call.encode())
        if resolved < 0:
            continue  # this kernel or machine does not have it
        for each in certain.get(call, [[]]):
            array = (Comparison * len(each))(*each)
            _check(library.seccomp_rule_add_array(context, ALLOW, resolved, len(each), array), call)
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _check(library.seccomp_load(context), "the filter")


def _check(status: int, what: str) -> None:
    if status < 0:
        raise OSError(-status, f"seccomp: {what}")


if __name__ == "__main__":
    load(settings(Path(sys.argv[1]).read_text()))
    os.execv(sys.argv[3], sys.argv[3:])
