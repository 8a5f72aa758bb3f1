"""What is read of the machine, of control groups, of descriptors and of file systems."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from erlmcp.telemetry import place
from erlmcp.telemetry.place import Descriptors, Memory, Volumes

MIB = 1024 * 1024
MEMINFO = "MemTotal:       8192 kB\nMemFree:   100 kB\nMemAvailable:   2048 kB\nHugePages_Total:   0\n"


def _tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _newer(**groups):
    """Files of the newer interface: of the group itself, and of the one above it."""
    files = {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/above/own\n"}
    for group, (limit, used, cached) in groups.items():
        folder = "sys/fs/cgroup/above" + ("/own" if group == "own" else "")
        files[f"{folder}/memory.max"] = f"{limit}\n"
        files[f"{folder}/memory.current"] = f"{used}\n"
        files[f"{folder}/memory.stat"] = f"anon 1\ninactive_file {cached}\n"
    return files


def test_the_machine_is_shown_as_the_kernel_tells_it():
    machine = next(each for each in place.memory() if each.bound == "machine")
    told = Path("/proc/meminfo").read_text()
    assert machine.limit_bytes == int(told.split("MemTotal:")[1].split()[0]) * 1024
    assert 0 < machine.used_bytes < machine.limit_bytes


def test_the_tightest_group_counts_whether_it_is_its_own_or_one_above(tmp_path):
    own = _newer(own=(3 * MIB, 2 * MIB, MIB), above=(4 * MIB, 4 * MIB, 0))
    above = _newer(own=("max", 2 * MIB, 0), above=(4 * MIB, 3 * MIB, MIB))
    assert place.memory(_tree(tmp_path / "own", own)) == [
        Memory("machine", 6 * MIB, 8 * MIB),
        Memory("cgroup", MIB, 3 * MIB),
    ]
    assert place.memory(_tree(tmp_path / "above", above))[1] == Memory("cgroup", 2 * MIB, 4 * MIB)


def test_a_group_with_as_much_as_the_machine_is_no_limit(tmp_path):
    files = _newer(own=(8 * MIB, MIB, 0), above=("max", MIB, 0))
    assert [each.bound for each in place.memory(_tree(tmp_path, files))] == ["machine"]
    (tmp_path / "sys/fs/cgroup/above/own/memory.max").write_text(f"{8 * MIB - 1}\n")
    assert [each.bound for each in place.memory(tmp_path)] == ["machine", "cgroup"]


def test_the_older_interface_is_read_also_where_a_container_sees_only_its_own_group(tmp_path):
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "4:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n1:name=systemd:/\n0::/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * MIB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{2 * MIB}\n",
        "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {MIB}\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert place.memory(_tree(tmp_path, files))[1] == Memory("cgroup", MIB, 2 * MIB)
    assert place.cores(tmp_path) == 0.5


def test_what_cannot_be_read_is_left_out(tmp_path):
    assert place.memory(tmp_path) == []
    assert place.cores(tmp_path) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("told", "cores"), [("max 100000", None), ("25000 100000", 0.25), ("1 0", None)])
def test_a_group_may_allow_a_part_of_a_processor(tmp_path, told, cores):
    _tree(tmp_path, {"proc/self/cgroup": "0::/own\n", "sys/fs/cgroup/own/cpu.max": f"{told}\n"})
    assert place.cores(tmp_path) == (cores or len(os.sched_getaffinity(0)))


def test_descriptors_are_counted_with_the_limit_of_their_process():
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (77, 77)); "
        "kept = [os.dup(0) for _ in range(9)]; print(len(os.listdir('/proc/self/fd')) - 1)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{code}; sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        counted = int(child.stdout.readline())
        assert place.descriptors(child.pid) == Descriptors(counted, 77)
    finally:
        child.communicate()
    assert place.descriptors(child.pid) is None


def test_a_file_system_is_shown_as_somebody_without_privileges_finds_it(tmp_path):
    (volume,) = asyncio.run(Volumes({"work": tmp_path, "gone": tmp_path / "gone"}).read())
    told = os.statvfs(tmp_path)
    assert (volume.name, volume.size_bytes) == ("work", told.f_blocks * told.f_frsize)
    assert 0 < volume.free_bytes <= told.f_bfree * told.f_frsize


def test_a_disk_that_does_not_answer_is_left_out_and_waited_for_once(tmp_path, monkeypatch):
    asked, answered = [], threading.Event()

    def never(folder):
        asked.append(folder)
        answered.wait(30)
        raise OSError

    async def read_twice(volumes):
        return [await volumes.read(), await volumes.read()]

    volumes = Volumes({"work": tmp_path})
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", never)
        assert asyncio.run(read_twice(volumes)) == [[], []]
        answered.set()
        volumes._reading.join(10)
    assert len(asked) == 1
    assert [each.name for each in asyncio.run(volumes.read())] == ["work"]
