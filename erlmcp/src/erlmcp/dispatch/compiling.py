"""Finds the tools of a guest that can be called without the kernel, by the framework of the guest."""

from __future__ import annotations

from erlmcp.dispatch.compiled import MCPServerTools
from erlmcp.dispatch.compiled_tools import CompiledTools
from erlmcp.dispatch.guest import Guest


def compiled_tools(guest: Guest) -> CompiledTools:
    """The compiled tools of a guest; of a kind that is not known there are none."""
    if guest.info.kind == "FastMCP":
        from erlmcp.dispatch.compiled_fastmcp import FastMCPTools  # imports FastMCP

        return FastMCPTools(guest)
    return MCPServerTools(guest)
