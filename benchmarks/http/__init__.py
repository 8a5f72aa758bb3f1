"""Measures MCP servers over HTTP side by side in one run. Targets and results: benchmarks/README.md."""
