"""A guest that works as guests do, and one that tries what a unit forbids."""

import asyncio
import errno
import mmap
import os
import socket
import subprocess
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("trying")

FORBIDDEN = {
    "another root": lambda: os.chroot("/"),
    "another user": lambda: os.setgroups([0]),
    "another processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "code that it wrote": lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "the kernel's sockets": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
}


@server.tool()
async def attempt(what: str) -> str:
    """What comes of it."""
    try:
        FORBIDDEN[what]()
    except OSError as fault:
        return errno.errorcode[fault.errno or 0]
    return "done"


@server.tool()
def work_in_a_thread(a: int) -> int:
    """Not async."""
    return a + 1


@server.tool()
async def run_a_program(ctx: Context) -> str:
    """As many guests do."""
    await ctx.report_progress(1, 1)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", "print('ran')"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
