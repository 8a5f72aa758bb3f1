"""What limits cost a call that none of them holds back. The target: benchmarks/README.md."""
