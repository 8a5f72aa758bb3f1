"""Measures MCP over TCP and WebSocket against bare servers. Targets and results: benchmarks/README.md."""
