"""What a good client feels while ten thousand hostile ones hold on. Targets: benchmarks/README.md."""
