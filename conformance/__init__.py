"""Runs the official MCP conformance suite against erlmcp, hosting servers written on public APIs only."""
