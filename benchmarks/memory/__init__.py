"""Measures what sessions and open streams cost a server. Targets and results: benchmarks/README.md."""
